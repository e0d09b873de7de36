"""What a virtual phone can be told to do wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from qnn_sd.errors import SettingError, did_you_mean


@dataclass(frozen=True)
class Faults:
    """Faults of one virtual phone; none by default.

    Attributes:
        room: bytes that fit on its data partition; what goes past them fails with ENOSPC.
        disconnect: bytes, pushed or fed to a shell, after which the cable is pulled, once. adbd then removes a
            half pushed file.
        crash: such bytes after which adbd dies, once: as ``disconnect``, but the half file stays.
        kill_worker: bytes sent to a worker's socket after which the worker is killed, once.
        unauthorized: nobody's key is admitted.
        offline: the phone takes a connection and never answers.
        properties: values in place of the phone's own.
    """

    room: int | None = None
    disconnect: int | None = None
    crash: int | None = None
    kill_worker: int | None = None
    unauthorized: bool = False
    offline: bool = False
    properties: dict[str, str] = field(default_factory=dict)


_WITH_BYTES = ("room", "disconnect", "crash", "kill-worker")
_PLAIN = ("unauthorized", "offline")


def parse_faults(faults: tuple[str, ...], properties: tuple[str, ...] = ()) -> Faults:
    """Faults as the command line spells them.

    Args:
        faults: such as ``room=1000000`` (bytes) or ``unauthorized``.
        properties: such as ``ro.soc.model=SM9999``.

    Raises:
        SettingError: one is unknown or has a bad value.
    """
    told: dict[str, Any] = {}
    for text in faults:
        name, equals, value = text.partition("=")
        if name in _PLAIN and not equals:
            told[name] = True
        elif name in _WITH_BYTES and value.isdecimal():
            told[name.replace("-", "_")] = int(value)
        elif name in (*_PLAIN, *_WITH_BYTES):
            form = f"{name}=BYTES, such as {name}=1000000" if name in _WITH_BYTES else name
            raise SettingError(f"--fault {text} is not possible", hint=f"Write --fault {form}.")
        else:
            raise SettingError(f"Unknown fault {name!r}", hint=did_you_mean(name, (*_PLAIN, *_WITH_BYTES)))
    changed = {}
    for text in properties:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise SettingError(f"--property {text} is not possible", hint="Write --property ro.soc.model=SM9999.")
        changed[name] = value
    return replace(Faults(properties=changed), **told)
