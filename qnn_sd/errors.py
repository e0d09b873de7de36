"""Every failure that a user can meet: what failed, why, what to type next, and its exit code.

The exit codes are part of the interface (``docs/errors.md``): scripts branch on them, so a code
is never reused for another meaning. Code 1 is a bug in qnn-sd, 2 is bad usage; a pipe whose
reader is gone is no failure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class QnnSdError(Exception):
    """Base of all expected failures.

    Args:
        what: what failed, in one sentence without a final full stop.
        why: the cause as far as it is known.
        hint: what to type or change next.

    Attributes:
        kept: what the command had finished before, a phrase each.
    """

    exit_code: ClassVar[int] = 1
    kept: tuple[str, ...] = ()

    def __init__(self, what: str, *, why: str = "", hint: str) -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.hint) if part)


class UnexpectedError(QnnSdError):
    """A bug in qnn-sd: an exception that it doesn't know."""

    exit_code = 1


class UsageError(QnnSdError):
    """An option or an argument that doesn't exist, is missing, or has no such choice."""

    exit_code = 2


class SettingError(QnnSdError):
    """A value on the command line that can't be used (steps, guidance, count, size)."""

    exit_code = 3


class UnknownSocError(QnnSdError):
    """No device profile of that name."""

    exit_code = 4


class UnknownModelError(QnnSdError):
    """No model config of that name, or none that fits the checkpoint."""

    exit_code = 5


class UnknownSchedulerError(QnnSdError):
    """No scheduler of that name."""

    exit_code = 6


class ConfigError(QnnSdError):
    """A model config or device profile that doesn't follow its schema."""

    exit_code = 7


class PlatformError(QnnSdError):
    """An operating system or processor that this package doesn't run on."""

    exit_code = 8


class CheckpointError(QnnSdError):
    """A checkpoint that is missing, truncated or doesn't fit its own config."""

    exit_code = 10


class UnsupportedModelError(QnnSdError):
    """A checkpoint whose config asks for something that the exporter doesn't build."""

    exit_code = 11


class ArtifactError(QnnSdError):
    """A stage's artifact whose files don't match its manifest."""

    exit_code = 12


class QuantizeError(QnnSdError):
    """Calibration or the QDQ writer can't go on."""

    exit_code = 13


class CompileError(QnnSdError):
    """The QNN compiler refused a graph or crashed."""

    exit_code = 14


class VerificationError(QnnSdError):
    """A context binary compiled, but doesn't compute what its QDQ graph computes."""

    exit_code = 15


class DownloadError(QnnSdError):
    """A runtime library can't be had: no such file, no network, or a connection cut in the middle."""

    exit_code = 16


class IntegrityError(QnnSdError):
    """What was downloaded isn't what was expected: another hash, or an archive that can't be trusted."""

    exit_code = 17


class RuntimeLibraryError(QnnSdError):
    """No runtime libraries here fit the phone and the binary."""

    exit_code = 18


class BinaryError(QnnSdError):
    """A file that was to be a context binary, and is something else, truncated or damaged; or one that isn't there.

    Attributes:
        is_other: whether it is whole, and something else.
    """

    exit_code = 19
    is_other: bool = False


class TargetError(QnnSdError):
    """A target can't load or run a component."""

    exit_code = 20


class DeviceError(QnnSdError):
    """No phone that could be used, or one that went away."""

    exit_code = 21


class DeviceBlockedError(DeviceError):
    """A phone that adb lists and that can't be used: offline, or this computer isn't allowed to."""

    exit_code = 24


class AdbServerError(DeviceError):
    """The adb server doesn't answer, or was ended while a phone was in use."""

    exit_code = 25


class WorkerEndedError(DeviceError):
    """The worker on a phone was killed or crashed; the phone is still there."""

    exit_code = 26


class DeviceReturnedError(DeviceError):
    """The connection to a phone was interrupted, and the phone is there again."""

    exit_code = 27


class StagingError(QnnSdError):
    """A phone that can't take what is to be staged."""

    exit_code = 22


class VirtualPhoneError(QnnSdError):
    """The virtual phone can't start, or can't run what it was told to."""

    exit_code = 23


class OutputError(QnnSdError):
    """A file can't be written where it was asked for."""

    exit_code = 30


class UnhealthyError(QnnSdError):
    """``qnn-sd doctor`` found something that stops qnn-sd from working."""

    exit_code = 40


class HubAccountError(QnnSdError):
    """No usable account at Qualcomm AI Hub: no token, a wrong one, or a client that is missing or too old."""

    exit_code = 50


class HubServiceError(QnnSdError):
    """AI Hub can't be reached, refuses what it is sent, or reports errors of its own."""

    exit_code = 51


class HubDeviceError(QnnSdError):
    """AI Hub has no such device, or no longer."""

    exit_code = 52


class HubJobError(QnnSdError):
    """A job at AI Hub failed."""

    exit_code = 53


class HubDeadlineError(QnnSdError):
    """A job at AI Hub didn't end in the time that it was given; it goes on there."""

    exit_code = 54


class UploadNotAllowedError(QnnSdError):
    """A user's checkpoint was to be uploaded, and nobody has allowed it."""

    exit_code = 55


class HungUp(QnnSdError):
    """SIGHUP: the terminal was closed, or the connection of ssh ended."""

    exit_code = 129


class Interrupted(QnnSdError):
    """Ctrl-C."""

    exit_code = 130


class Terminated(QnnSdError):
    """SIGTERM: ``kill``, a service manager or a batch system ended the command."""

    exit_code = 143


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt name, or the list of what there is.

    Args:
        word: what the user typed.
        known: the names that exist.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    listed = ", ".join(names)
    return f"Did you mean {close[0]}? Known: {listed}." if close else f"Known: {listed}."
