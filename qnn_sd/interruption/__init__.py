"""What Ctrl-C, SIGTERM and SIGHUP do to a command.

``install`` comes first in a process, before anything large is imported: it takes the signals and starts a guardian
process, which answers at once even while a native call keeps Python from running. ``Stopped`` is what they raise.
"""

from qnn_sd.interruption.calls import run_session
from qnn_sd.interruption.signals import Stopped, acknowledge, begin, check, deferred, finish, install, stopped_by

__all__ = [
    "Stopped",
    "acknowledge",
    "begin",
    "check",
    "deferred",
    "finish",
    "install",
    "run_session",
    "stopped_by",
]
