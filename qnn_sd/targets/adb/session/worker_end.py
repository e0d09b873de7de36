"""A worker that ended while it was in use: how, as far as the phone tells."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from contextlib import suppress

from qnn_sd.errors import QnnSdError, WorkerEndedError
from qnn_sd.targets.adb.client import Phone, RemoteProcess

# As a shell tells of a program that a signal ended (adbd's shell_service.cpp does the same).
_SIGNALLED = 128
_LOG_LINES = 3
_AGAIN = "type the same line again"


def explain_loss(phone: Phone, running: RemoteProcess | None, log: Callable[[], str], why: str) -> QnnSdError:
    """The error for a connection to a worker that broke, after adb was asked what became of the phone.

    Args:
        phone: where it ran.
        running: its process; None for one that an earlier run started.
        log: gives what it has logged.
        why: what was noticed of the connection.
    """

    def ended() -> WorkerEndedError | None:
        code = None if running is None else running.exit_code
        return None if code is None else worker_ended(phone, code, log())

    return phone.lost_program(ended) or WorkerEndedError(
        f"The worker on {phone.serial} is gone",
        why=f"{why} The phone is still there, and didn't tell how its process ended.{_log_text(log())}",
        hint=f"{_capital(_AGAIN)}; if it happens twice, add --debug.",
    )


def worker_ended(phone: Phone, code: int, log: str) -> WorkerEndedError:
    """The error for a worker that ended by itself, or was killed.

    Args:
        phone: where it ran.
        code: its exit code, 128 + N if signal N ended it.
        log: what it has logged.
    """
    said = _log_text(log)
    number = code - _SIGNALLED
    if number == signal.SIGKILL:
        return WorkerEndedError(
            f"Android killed the worker on {phone.serial}",
            why=f"It ended by SIGKILL, as processes do when memory runs short.{_memory(phone)}{said}",
            hint=f"Close other apps on the phone, then {_AGAIN}.",
        )
    if number > 0:
        with suppress(ValueError):
            name = signal.Signals(number).name
            return WorkerEndedError(
                f"The worker on {phone.serial} crashed",
                why=f"It ended by {name}.{said}",
                hint=f"{_capital(_AGAIN)}; if it happens twice, qnn-sd doctor --phone -o report.md has what to report.",
            )
    return WorkerEndedError(
        f"The worker on {phone.serial} ended",
        why=f"Its exit code is {code}.{said}",
        hint=f"{_capital(_AGAIN)}; with --debug its whole log is shown.",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _log_text(log: str) -> str:
    lines = [line.strip() for line in log.strip().splitlines() if line.strip()]
    return f" Its log ends: {' / '.join(lines[-_LOG_LINES:])}" if lines else ""


def _memory(phone: Phone) -> str:
    """How much memory is left; nothing where the phone doesn't say."""
    with suppress(QnnSdError):
        found = re.search(r"^MemAvailable:\s*(\d+) kB", phone.shell("cat /proc/meminfo").text, re.MULTILINE)
        if found:
            return f" {int(found[1]) / 1000:,.0f} MB are available now, after its end."
    return ""
