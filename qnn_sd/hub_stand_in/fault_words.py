"""Faults as ``--fault`` has them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qai_hub import public_api_pb2 as api

from qnn_sd.ai_hub import near_names
from qnn_sd.config.soc_names import name_key
from qnn_sd.errors import SettingError, did_you_mean
from qnn_sd.hub_stand_in.devices import all_devices
from qnn_sd.hub_stand_in.faults import Faults, JobFailure, Noise, Slow, StatusFault, Stuck, Weakened, WrongModel


def _noise(value: str) -> Noise:
    component, _, db = value.rpartition(":")
    if not math.isfinite(float(db)):
        raise ValueError(value)
    return Noise(component, float(db))


def _weakened(value: str) -> Weakened:
    component, name, share = value.split(":")
    if not 0 <= float(share) <= 1:
        raise ValueError(value)
    return Weakened(component, name, float(share))


def _failure(value: str) -> JobFailure:
    component, number, text = [*value.split(":", 2), ""][:3]
    if int(number) not in api.JobFailureType.values():
        raise ValueError(value)
    return JobFailure(component, int(number), text)


def _wrong_model(value: str) -> WrongModel:
    component, _, file = value.partition(":")
    if not Path(file).is_file():
        raise ValueError(value)
    return WrongModel(component, Path(file))


def _stuck(value: str) -> Stuck:
    component, _, state = value.partition(":")
    if state and int(state) not in api.JobState.values():
        raise ValueError(value)
    return Stuck(component, int(state)) if state else Stuck(component)


def _slow(value: str) -> Slow:
    component, _, polls = value.rpartition(":")
    return Slow(_whole(polls), component)


def _status(value: str) -> StatusFault:
    status, path, times = [*value.split(":"), "", ""][:3]
    if not re.fullmatch(r"[45]\d\d", status):
        raise ValueError(value)
    return StatusFault(int(status), path, _whole(times) if times else None)


def _whole(value: str) -> int:
    if not value.isdecimal():
        raise ValueError(value)
    return int(value)


def _release(value: str) -> str:
    if not re.fullmatch(r"\d+\.\d+", value):
        raise ValueError(value)
    return value


def _device(value: str) -> str:
    """A listed device's name; case and spaces don't matter."""
    names = dict.fromkeys(each.name for each in all_devices())
    found = next((each for each in names if name_key(each) == name_key(value)), None)
    if found is None:
        near = ", ".join(near_names(value, names))
        raise SettingError(
            f"The stand-in lists no device {value!r}",
            why=f"Nearest: {near}." if near else "",
            hint="qnn-sd hub devices lists those that it has.",
        )
    return found


# Each name with the field that it fills, how its value is read, and how it is written. Those of the first may be given
# several times.
_SEVERAL: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "noise": ("noises", _noise, "COMPONENT:DB, such as noise=unet:30"),
    "weaken": ("weakened", _weakened, "COMPONENT:INPUT:SHARE, such as weaken=unet:encoder_hidden_states:0.2"),
    "fail": ("failures", _failure, "COMPONENT:TYPE[:TEXT], such as fail=unet:12001"),
    "wrong-model": ("wrong_models", _wrong_model, "COMPONENT:FILE, such as wrong-model=unet:vae_decoder.bin"),
    "stuck": ("stuck", _stuck, "COMPONENT[:STATE], such as stuck=unet:60"),
    "slow": ("slow", _slow, "[COMPONENT:]POLLS, such as slow=3"),
    "status": ("statuses", _status, "CODE[:PATH[:TIMES]], such as status=500:jobs:2"),
    "gone": ("gone", _device, "DEVICE"),
    "retired": ("retired", _device, "DEVICE"),
}
_ONE: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "retry-after": ("retry_after", _whole, "SECONDS"),
    "drop-upload": ("dropped_uploads", _whole, "TIMES"),
    "drop-download": ("dropped_downloads", _whole, "TIMES"),
    "quota": ("quota", _whole, "JOBS"),
    "largest-model": ("largest_model", _whole, "BYTES"),
    "lost-answer": ("lost_answers", _whole, "TIMES"),
    "late-error": ("late_errors", _whole, "TIMES"),
    "qairt": ("qairt", _release, "RELEASE, such as qairt=2.49"),
}
_BARE = {"no-etag": "no_etag", "wrong-token": "wrong_token"}


def parse_faults(texts: Sequence[str]) -> Faults:
    """Reads faults from the command line.

    Args:
        texts: such as ``noise=unet:30``, ``drop-upload=1`` or ``no-etag``.

    Raises:
        SettingError: one is unknown or has an impossible value.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name in _BARE and not equals:
            values[_BARE[name]] = True
            continue
        if name not in {*_SEVERAL, *_ONE, *_BARE}:
            raise SettingError(f"Unknown fault {name!r}", hint=did_you_mean(name, {*_SEVERAL, *_ONE, *_BARE}))
        field, read, usage = (_SEVERAL | _ONE).get(name, ("", str, ""))
        try:
            if not (field and value):
                raise ValueError(text)
            found = read(value)
        except ValueError as error:
            written = f"{name}={usage}" if usage else name
            raise SettingError(f"--fault {text} is not possible", hint=f"Write --fault {written}.") from error
        values[field] = (*values.get(field, ()), found) if name in _SEVERAL else found
    return Faults(**values)
