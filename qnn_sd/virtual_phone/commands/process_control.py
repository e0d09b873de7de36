"""Commands about processes: ps, pidof, kill."""

from __future__ import annotations

import signal
from collections.abc import Callable

from qnn_sd.virtual_phone.android.processes import ProcessEntry
from qnn_sd.virtual_phone.commands.call import Call, CommandError

_PS_COLUMNS: dict[str, Callable[[ProcessEntry], str]] = {
    "USER": lambda entry: entry.user,
    "PID": lambda entry: str(entry.pid),
    "PPID": lambda entry: str(entry.parent),
    "NAME": lambda entry: entry.name,
    "CMD": lambda entry: entry.name,
    "ARGS": lambda entry: entry.arguments,
    "CMDLINE": lambda entry: entry.arguments,
}
_LEFT_ALIGNED = ("USER", "NAME", "CMD", "ARGS", "CMDLINE")


def ps(call: Call) -> None:
    """``ps [-Aef] [-p PID] [-o COLUMN,...]`` with USER, PID, PPID, NAME and ARGS."""
    options, _ = call.options("Aefo:p:")
    columns = options.get("o", "USER,PID,PPID,NAME").upper().split(",")
    unknown = [column for column in columns if column not in _PS_COLUMNS]
    if unknown:
        raise CommandError(f"bad -o '{unknown[0]}'")
    entries = [entry for entry in call.device.processes.entries() if options.get("p") in (None, str(entry.pid))]
    rows = [columns, *([_PS_COLUMNS[column](entry) for column in columns] for entry in entries)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if column in _LEFT_ALIGNED else f"{cell:>{width}}"
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        call.write(" ".join(cells).rstrip() + "\n")
    call.status = int(not entries)


def pidof(call: Call) -> int:
    """``pidof [-s] NAME...``: the newest first."""
    options, names = call.options("s")
    found = [str(entry.pid) for entry in reversed(call.device.processes.entries()) if entry.name in names]
    if found:
        call.write(" ".join(found[:1] if "s" in options else found) + "\n")
    return int(not found)


def kill(call: Call) -> None:
    """``kill [-SIGNAL | -s SIGNAL] PID...``; never a process of the host that isn't the phone's."""
    words = list(call.arguments)
    number = int(signal.SIGTERM)
    if words[:1] == ["-s"] and len(words) > 1:
        number, words = _signal_number(words[1]), words[2:]
    elif words and words[0].startswith("-"):
        number, words = _signal_number(words[0][1:]), words[1:]
    if not words:
        raise CommandError("Needs 1 argument")
    for word in words:
        if not word.isdecimal():
            raise CommandError(f"bad pid '{word}'")
        try:
            call.device.processes.send_signal(int(word), number)
        except ProcessLookupError:
            call.print_error(f"{word}: No such process")
        except PermissionError:
            call.print_error(f"{word}: Operation not permitted")


def _signal_number(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    if text.isdecimal() and int(text) in (0, *signal.valid_signals()):
        return int(text)
    if f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise CommandError(f"bad signal '{text}'")
