"""Commands about the phone itself and its processes."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

from qnn_sd.virtual_phone.commands.call import Call, CommandError
from qnn_sd.virtual_phone.processes import Entry

_KERNEL = "6.1.0-qnn-sd"
_UNAME = {
    "s": "Linux",
    "n": "localhost",
    "r": _KERNEL,
    "v": "#1 SMP PREEMPT virtual phone",
    "m": "aarch64",
    "o": "Toybox",
}


def true(call: Call) -> int:
    """``true``; ``sync`` too: what was written is there."""
    return 0 * len(call.arguments)


def false(call: Call) -> int:
    """``false``."""
    return true(call) + 1


def pwd(call: Call) -> None:
    """``pwd``."""
    call.out(f"{call.cwd}\n")


def whoami(call: Call) -> None:
    """``whoami``."""
    call.out("shell\n")


def identity(call: Call) -> None:
    """``id``, ``id -u`` and ``id -un``."""
    options, _ = call.options("ungG")
    if not options:
        call.out("uid=2000(shell) gid=2000(shell) groups=2000(shell) context=u:r:shell:s0\n")
    else:
        call.out("shell\n" if "n" in options else "2000\n")


def uname(call: Call) -> None:
    """``uname [-amnorsv]``."""
    options, _ = call.options("amnorsv")
    letters = "snrvmo" if "a" in options else [letter for letter in _UNAME if letter in options] or ["s"]
    call.out(" ".join(_UNAME[letter] for letter in letters) + "\n")


def getprop(call: Call) -> None:
    """``getprop [NAME [DEFAULT]]``."""
    match call.arguments:
        case []:
            call.out("".join(f"[{name}]: [{value}]\n" for name, value in call.machine.properties.items()))
        case [name, *default]:
            call.out(f"{call.machine.properties.get(name, ''.join(default[:1]))}\n")


def setprop(call: Call) -> int:
    """``setprop`` is refused, as init refuses most of a shell user's."""
    if len(call.arguments) != 2:
        raise CommandError("Needs 2 arguments")
    name, value = call.arguments
    call.files.write(call.handles[2], f"Failed to set property '{name}' to '{value}'.\n".encode())
    return 1


def dumpsys(call: Call) -> int:
    """``dumpsys battery``, in the form of Android's BatteryService; other services aren't there."""
    if call.arguments != ["battery"]:
        call.files.write(call.handles[2], f"Can't find service: {' '.join(call.arguments)}\n".encode())
        return 1
    battery = call.machine.battery
    call.out(
        "Current Battery Service state:\n"
        "  AC powered: false\n  USB powered: true\n  Wireless powered: false\n"
        # status 2: charging; health 2: good (android.os.BatteryManager).
        "  status: 2\n  health: 2\n  present: true\n"
        f"  level: {battery.level}\n  scale: 100\n  voltage: 4200\n"
        f"  temperature: {round(battery.temperature * 10)}\n  technology: Li-ion\n"
    )
    return 0


def date(call: Call) -> None:
    """``date [+FORMAT]``."""
    form = call.arguments[0] if call.arguments else "+%a %b %e %H:%M:%S %Z %Y"
    if not form.startswith("+") or len(call.arguments) > 1:
        raise CommandError(f"bad date '{' '.join(call.arguments)}'")
    call.out(time.strftime(form[1:]) + "\n")


def env(call: Call) -> None:
    """``env``: the exported variables."""
    if call.arguments:
        raise CommandError("only without arguments: write NAME=VALUE before the command")
    call.out("".join(f"{name}={value}\n" for name, value in call.environment.items()))


def sleep(call: Call) -> None:
    """``sleep SECONDS``; a shell that hangs up ends it."""
    if len(call.arguments) != 1 or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", call.arguments[0]):
        raise CommandError(f"bad time '{' '.join(call.arguments)}'")
    call.hung_up.wait(float(call.arguments[0]))


_COLUMNS: dict[str, Callable[[Entry], str]] = {
    "USER": lambda entry: entry.user,
    "PID": lambda entry: str(entry.pid),
    "PPID": lambda entry: str(entry.parent),
    "NAME": lambda entry: entry.name,
    "CMD": lambda entry: entry.name,
    "ARGS": lambda entry: entry.arguments,
    "CMDLINE": lambda entry: entry.arguments,
}
_LEFT = ("USER", "NAME", "CMD", "ARGS", "CMDLINE")


def ps(call: Call) -> None:
    """``ps [-Aef] [-p PID] [-o COLUMN,...]`` with USER, PID, PPID, NAME and ARGS."""
    options, _ = call.options("Aefo:p:")
    columns = options.get("o", "USER,PID,PPID,NAME").upper().split(",")
    unknown = [column for column in columns if column not in _COLUMNS]
    if unknown:
        raise CommandError(f"bad -o '{unknown[0]}'")
    entries = [entry for entry in call.machine.processes.entries() if options.get("p") in (None, str(entry.pid))]
    rows = [columns, *([_COLUMNS[column](entry) for column in columns] for entry in entries)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if column in _LEFT else f"{cell:>{width}}"
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        call.out(" ".join(cells).rstrip() + "\n")
    call.status = int(not entries)


def pidof(call: Call) -> int:
    """``pidof [-s] NAME...``: the newest first."""
    options, names = call.options("s")
    found = [str(entry.pid) for entry in reversed(call.machine.processes.entries()) if entry.name in names]
    if found:
        call.out(" ".join(found[:1] if "s" in options else found) + "\n")
    return int(not found)


def kill(call: Call) -> None:
    """``kill [-SIGNAL | -s SIGNAL] PID...``: processes of the phone, and no others."""
    words = list(call.arguments)
    number = int(signal.SIGTERM)
    if words[:1] == ["-s"] and len(words) > 1:
        number, words = _signal(words[1]), words[2:]
    elif words and words[0].startswith("-"):
        number, words = _signal(words[0][1:]), words[1:]
    if not words:
        raise CommandError("Needs 1 argument")
    for word in words:
        if not word.isdecimal():
            raise CommandError(f"bad pid '{word}'")
        try:
            call.machine.processes.send_signal(int(word), number)
        except ProcessLookupError:
            call.complain(f"{word}: No such process")
        except PermissionError:
            call.complain(f"{word}: Operation not permitted")


def _signal(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    if text.isdecimal() and int(text) in (0, *signal.valid_signals()):
        return int(text)
    if f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise CommandError(f"bad signal '{text}'")
