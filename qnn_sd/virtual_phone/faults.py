"""Failures that a virtual phone can be asked to show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.virtual_phone.moments import Moment


@dataclass(frozen=True)
class Faults:
    """Faults of one virtual phone; none by default.

    Attributes:
        free_space: bytes that fit on its empty data partition; a write past them fails with ENOSPC.
        disconnect: bytes, pushed or written to the stdin of a shell, after which the cable is unplugged, once. adbd
            then removes the incomplete file.
        crash: such bytes after which adbd crashes, once: as ``disconnect``, but the incomplete file stays.
        kill_worker: bytes sent to the worker's socket after which the worker is killed, once.
        unauthorized: no key is accepted.
        offline: the phone accepts a connection and never answers.
        planned: what happens at a moment, once: ``disappear`` (the phone is switched off), ``flap`` (its cable has a
            bad contact), ``revoke`` (it no longer accepts this computer's key), ``freeze`` (adbd hangs), ``kill`` and
            ``abort`` (the worker's process gets SIGKILL or SIGABRT).
        properties: system properties that replace the phone's own.
    """

    free_space: int | None = None
    disconnect: int | None = None
    crash: int | None = None
    kill_worker: int | None = None
    unauthorized: bool = False
    offline: bool = False
    planned: tuple[tuple[str, Moment], ...] = ()
    properties: dict[str, str] = field(default_factory=dict)


_WITH_BYTES = ("free-space", "disconnect", "crash", "kill-worker")
_WITHOUT_VALUE = ("unauthorized", "offline")
PLANNED = ("disappear", "flap", "revoke", "freeze", "kill", "abort")
_NAMES = (*_WITHOUT_VALUE, *_WITH_BYTES, *PLANNED)


def parse_faults(faults: tuple[str, ...], properties: tuple[str, ...] = ()) -> Faults:
    """Reads faults from the command line.

    Args:
        faults: such as ``free-space=1000000`` (bytes), ``disappear=call:3`` or ``unauthorized``.
        properties: such as ``ro.soc.model=SM9999``.

    Raises:
        SettingError: one is unknown or has an invalid value.
    """
    values: dict[str, Any] = {}
    planned: list[tuple[str, Moment]] = []
    for text in faults:
        name, equals, value = text.partition("=")
        if name in _WITHOUT_VALUE and not equals:
            values[name] = True
        elif name in _WITH_BYTES and value.isdecimal():
            values[name.replace("-", "_")] = int(value)
        elif name in PLANNED and equals:
            planned.append((name, Moment.parse(value)))
        elif name in _NAMES:
            raise SettingError(f"--fault {text} is not possible", hint=f"Write --fault {_usage(name)}.")
        else:
            raise SettingError(f"Unknown fault {name!r}", hint=did_you_mean(name, _NAMES))
    overrides = {}
    for text in properties:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise SettingError(f"--property {text} is not possible", hint="Write --property ro.soc.model=SM9999.")
        overrides[name] = value
    return replace(Faults(planned=tuple(planned), properties=overrides), **values)


def _usage(name: str) -> str:
    if name in _WITH_BYTES:
        return f"{name}=BYTES, such as {name}=1000000"
    return f"{name}=call:3, {name}=load:1 or {name}=BYTES" if name in PLANNED else name
