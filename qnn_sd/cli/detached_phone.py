"""A virtual phone in the background: its start, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from qnn_sd import announced_phones, errors
from qnn_sd.announced_phones import AnnouncedPhone
from qnn_sd.cli.documents import VirtualPhoneDocument
from qnn_sd.errors import QnnSdError, VirtualPhoneError

# Names the log to the process that runs in the background, whose stderr it is.
LOG_VARIABLE = "QNN_SD_VIRTUAL_PHONE_LOG"
# A worker is given five seconds to end by itself, then it is killed.
_END_SECONDS = 15.0
_POLL_SECONDS = 0.05
_KEPT_LOGS = 10


def start_detached(options: Sequence[str]) -> VirtualPhoneDocument:
    """Starts a virtual phone that outlives this command and its terminal, and waits until adb has it.

    Args:
        options: of ``qnn-sd virtual-phone``.

    Raises:
        QnnSdError: it doesn't start; as the command in the background says.
    """
    folder = announced_phones.state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)[:-_KEPT_LOGS]:
            old.unlink(missing_ok=True)
        handle, log = tempfile.mkstemp(suffix=".log", dir=folder)
    except OSError as error:
        raise VirtualPhoneError(
            "The virtual phone has no place for its log",
            why=f"{folder}: {error.strerror}.",
            hint="Free some space there, or leave --detach out.",
        ) from error
    process = subprocess.Popen(
        [sys.executable, "-m", "qnn_sd", "virtual-phone", *options, "--connect", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=handle,
        text=True,
        env={**os.environ, LOG_VARIABLE: log},
        # Neither Ctrl-C nor the terminal's end reaches it.
        start_new_session=True,
    )
    os.close(handle)
    assert process.stdout is not None, "it was asked for"
    try:
        with process.stdout as printed:
            document = _first_document(printed)
    except BaseException:
        # Ctrl-C meanwhile: nobody knows of it yet.
        process.terminate()
        raise
    if document is None:
        raise VirtualPhoneError(
            "The virtual phone didn't start",
            why=f"Its process ended with exit code {process.wait()}, and said nothing.",
            hint=f"Read {log}",
        )
    if "error" in document:
        raise _error_of(document["error"])
    return VirtualPhoneDocument.model_validate(document)


def _first_document(printed: Iterable[str]) -> dict[str, Any] | None:
    """The JSON document that a process prints; None if it ends without one. The process may go on."""
    text = ""
    for line in printed:
        text += line
        # Of an indented document, the last line alone begins so.
        if line.startswith("}"):
            found: dict[str, Any] = json.loads(text)
            return found
    return None


def _error_of(told: dict[str, Any]) -> QnnSdError:
    kind = getattr(errors, told["name"], VirtualPhoneError)
    error: QnnSdError = kind(told["what"], why=told["why"], hint=told["next"])
    return error


def stop(address: str, say: Callable[[str], None]) -> list[str]:
    """Ends virtual phones of this user, in the background or in another terminal.

    Args:
        address: which one; empty for the only one.
        say: told of what doesn't go smoothly.

    Returns:
        Their addresses.

    Raises:
        VirtualPhoneError: there is none, or there are several.
    """
    found = announced_phones.phones()
    chosen = [phone for phone in found if address in ("", phone.address)]
    names = ", ".join(str(phone.address) for phone in found)
    if not chosen:
        raise VirtualPhoneError(
            f"There is no virtual phone {address}".rstrip(),
            why=f"There {'are' if len(found) > 1 else 'is'} {names}." if found else "None runs.",
            hint="qnn-sd virtual-phone --detach starts one.",
        )
    if len(chosen) > 1:
        raise VirtualPhoneError(
            "There are several virtual phones",
            why=names,
            hint=f"Say which one: qnn-sd virtual-phone --stop {chosen[0].address}.",
        )
    for phone in chosen:
        _end(phone, say)
    return [str(phone.address) for phone in chosen]


def _end(phone: AnnouncedPhone, say: Callable[[str], None]) -> None:
    with suppress(ProcessLookupError):
        os.kill(phone.pid, signal.SIGTERM)
    until = time.monotonic() + _END_SECONDS
    while announced_phones.runs(phone.pid):
        if time.monotonic() > until:
            say(f"{phone.address} doesn't end: it is killed")
            with suppress(ProcessLookupError):
                os.kill(phone.pid, signal.SIGKILL)
            return
        time.sleep(_POLL_SECONDS)
