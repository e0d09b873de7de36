"""The commands that people type."""

from __future__ import annotations

import signal
import sys


def console_script() -> None:
    """``qnn-sd`` as a process of its own."""
    if sys.platform == "win32":  # which has no signal masks, and runs no command
        _refuse_other_platforms()
    # Ctrl-C may come at once. It waits while modules are imported, the few of its own handling first.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    _refuse_other_platforms()
    from qnn_sd import interruption  # noqa: PLC0415
    from qnn_sd.cli import stdout  # noqa: PLC0415

    # Before a pipe is opened: it would get the number of one that the parent closed.
    stdout.open_standard_descriptors()
    interruption.install()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    from qnn_sd.cli import app  # noqa: PLC0415 (elsewhere its packages are missing)

    stdout.keep_stdout("--debug" in sys.argv)
    code = app.main()
    interruption.finish()
    sys.exit(code)


def _refuse_other_platforms() -> None:
    from qnn_sd.supported_platform import refuse_other_platforms  # noqa: PLC0415 (Ctrl-C may come first)

    refuse_other_platforms()


__all__ = ["console_script"]
