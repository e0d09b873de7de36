"""Errors of files on a phone."""

from __future__ import annotations

from qnn_sd.adb_program import adb_command
from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client import Phone, ShellResult


def phone_refused(phone: Phone, action: str, why: str) -> StagingError:
    """The error for a phone that can't write or remove files.

    Args:
        phone: which one.
        action: what it can't do, such as ``create a folder``.
        why: the phone's error message.
    """
    return StagingError(
        f"{phone.serial} can't {action}",
        why=why,
        hint=f"Free space on the phone (qnn-sd unstage), or look there: {adb_command('-s', phone.serial, 'shell')}",
    )


def require_success(phone: Phone, result: ShellResult, action: str) -> None:
    """Raises a StagingError if a command failed; the arguments are those of ``phone_refused``."""
    if result.exit_code:
        raise phone_refused(phone, action, result.error_line)
