"""Commands about the phone itself."""

from __future__ import annotations

import re
import time

from qnn_sd.virtual_phone.commands.call import Call, CommandError

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
    """``true``; and ``sync``, since writes here are never delayed."""
    return 0 * len(call.arguments)


def false(call: Call) -> int:
    """``false``."""
    return true(call) + 1


def pwd(call: Call) -> None:
    """``pwd``."""
    call.write(f"{call.cwd}\n")


def whoami(call: Call) -> None:
    """``whoami``."""
    call.write("shell\n")


def identity(call: Call) -> None:
    """``id``, ``id -u`` and ``id -un``."""
    options, _ = call.options("ungG")
    if not options:
        call.write("uid=2000(shell) gid=2000(shell) groups=2000(shell) context=u:r:shell:s0\n")
    else:
        call.write("shell\n" if "n" in options else "2000\n")


def uname(call: Call) -> None:
    """``uname [-amnorsv]``."""
    options, _ = call.options("amnorsv")
    letters = "snrvmo" if "a" in options else [letter for letter in _UNAME if letter in options] or ["s"]
    call.write(" ".join(_UNAME[letter] for letter in letters) + "\n")


def getprop(call: Call) -> None:
    """``getprop [NAME [DEFAULT]]``."""
    match call.arguments:
        case []:
            call.write("".join(f"[{name}]: [{value}]\n" for name, value in call.device.properties.items()))
        case [name, *default]:
            call.write(f"{call.device.properties.get(name, ''.join(default[:1]))}\n")


def setprop(call: Call) -> int:
    """``setprop`` fails, as init refuses most properties that a shell user sets."""
    if len(call.arguments) != 2:
        raise CommandError("Needs 2 arguments")
    name, value = call.arguments
    call.files.write(call.stdio[2], f"Failed to set property '{name}' to '{value}'.\n".encode())
    return 1


def dumpsys(call: Call) -> int:
    """``dumpsys battery``, in the format of Android's BatteryService; there are no other services."""
    if call.arguments != ["battery"]:
        call.files.write(call.stdio[2], f"Can't find service: {' '.join(call.arguments)}\n".encode())
        return 1
    battery = call.device.battery
    call.write(
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
    time_format = call.arguments[0] if call.arguments else "+%a %b %e %H:%M:%S %Z %Y"
    if not time_format.startswith("+") or len(call.arguments) > 1:
        raise CommandError(f"bad date '{' '.join(call.arguments)}'")
    call.write(time.strftime(time_format[1:]) + "\n")


def env(call: Call) -> None:
    """``env``: the exported variables."""
    if call.arguments:
        raise CommandError("only without arguments: write NAME=VALUE before the command")
    call.write("".join(f"{name}={value}\n" for name, value in call.environment.items()))


def sleep(call: Call) -> None:
    """``sleep SECONDS``; ended when the shell hangs up."""
    if len(call.arguments) != 1 or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", call.arguments[0]):
        raise CommandError(f"bad time '{' '.join(call.arguments)}'")
    call.caller.hung_up.wait(float(call.arguments[0]))
