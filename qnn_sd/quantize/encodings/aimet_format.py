"""AIMET's encodings JSON, read and written: versions 1.0.0 and 2.0.0 (2.1.0 is read where it says no more).

The format is described in AIMET's "Encoding Format Specification" (``Docs/techniques/encoding_spec.rst``
in the repository quic/aimet). What it leaves open is taken from aimet-onnx 2.42 (``aimet_onnx/_encoding.py``):

- 1.0.0 counts integers from zero even where they are signed: real = scale * (unsigned + offset), so a
  symmetric encoding has the offset -2^(bw-1). ``is_sym`` says whether the integers are signed. There is
  no axis; per-channel scales belong to the output channels.
- 2.0.0 is ONNX's QuantizeLinear: real = scale * (integer - y_zero_point), integers as ``output_dtype``
  says, ``y_zero_point`` absent where it is zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.encodings.encoding import Encoding

_READABLE = "qnn-sd reads versions 1.0.0 and 2.0.0 (aimet-onnx: sim.export(..., encoding_version='2.0.0'))."


@dataclass(frozen=True)
class Entry:
    """One tensor's encoding as a file gives it.

    Attributes:
        name: the tensor's name in the float graph.
        bits: of the integers.
        signed: whether they are signed.
        scale: float64, one scale, or [channels].
        zero_point: the integer that stands for zero, counted as ``signed`` says.
        axis: the channels' axis where the file says it (2.0.0 does).
        per_channel: whether there is one scale a channel.
    """

    name: str
    bits: int
    signed: bool
    scale: NDArray[np.float64]
    zero_point: int
    axis: int | None
    per_channel: bool


def write_1_0_0(path: Path, activations: Mapping[str, Encoding], parameters: Mapping[str, Encoding]) -> None:
    """Writes encodings in version 1.0.0."""

    def entry(name: str, encoding: Encoding) -> dict[str, Any]:
        scales = np.atleast_1d(encoding.scale)
        offset = -encoding.zero_point - (2 ** (encoding.bits - 1) if encoding.signed else 0)
        return {
            "name": name,
            "enc_type": "PER_TENSOR" if encoding.axis is None else "PER_CHANNEL",
            "dtype": "INT",
            "bw": encoding.bits,
            "is_sym": encoding.signed,
            "scale": scales.tolist(),
            "offset": [offset] * len(scales),
        }

    sections = {"activation_encodings": activations, "param_encodings": parameters}
    _write(path, "1.0.0", {key: [entry(*item) for item in section.items()] for key, section in sections.items()})


def write_2_0_0(path: Path, activations: Mapping[str, Encoding], parameters: Mapping[str, Encoding]) -> None:
    """Writes encodings in version 2.0.0."""

    def entry(name: str, encoding: Encoding) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": name,
            "output_dtype": encoding.dtype_name,
            "y_scale": encoding.scale.tolist(),
        }
        if encoding.zero_point:
            fields["y_zero_point"] = encoding.zero_point
        if encoding.axis is not None:
            fields["axis"] = encoding.axis
        return fields

    _write(path, "2.0.0", {"encodings": [entry(*item) for item in {**activations, **parameters}.items()]})


def _write(path: Path, version: str, sections: Mapping[str, list[dict[str, Any]]]) -> None:
    """One entry a line: a full-size model has a million scales, and people read the file with grep."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{\n "version": "{version}"')
        for key, entries in sections.items():
            file.write(f',\n "{key}": [')
            for index, entry in enumerate(entries):
                file.write(f"{',' if index else ''}\n  {json.dumps(entry)}")
            file.write("\n ]")
        file.write("\n}\n")


def read(path: Path) -> dict[str, Entry]:
    """The encodings of a file, by tensor.

    Which section of a 1.0.0 file an entry is in doesn't matter: the graph knows what is a parameter.

    Raises:
        QuantizeError: the file can't be read, is of another version or broken, or holds an encoding
            that isn't plain integers per tensor or per channel (named).
    """
    document = _document(path)
    version = document.get("version")
    parse: Callable[[dict[str, Any]], Entry]
    if version == "1.0.0":
        lists, parse = [document.get("activation_encodings"), document.get("param_encodings")], _parse_1_0_0
    elif version in ("2.0.0", "2.1.0"):
        lists, parse = [document.get("encodings")], _parse_2_0_0
    else:
        raise QuantizeError(
            f"{path} is in version {version} of AIMET's format" if version else f"{path} has no version",
            hint=_READABLE,
        )
    found: dict[str, Entry] = {}
    for entries in lists:
        if not isinstance(entries, list):
            raise QuantizeError(
                f"{path} lacks a list of encodings", why=f"Version {version} must have it.", hint=_READABLE
            )
        for fields in entries:
            name = fields.get("name") if isinstance(fields, dict) else None
            if not isinstance(name, str) or name in found:
                wrong = f"two entries for {name}" if isinstance(name, str) else "an entry without a name"
                raise QuantizeError(
                    f"{path} has {wrong}",
                    hint="Export the encodings again, or correct the file.",
                )
            try:
                found[name] = parse(fields)
            except _UnusableError as error:
                raise QuantizeError(
                    f"The encoding of {name} in {path} can't be used",
                    why=str(error),
                    hint="qnn-sd takes integer encodings per tensor or per channel.",
                ) from error
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise QuantizeError(
            f"The encodings {path} can't be read", why=error.strerror or "", hint="Check the path."
        ) from error
    except ValueError as error:
        raise QuantizeError(f"{path} is no JSON", why=str(error), hint=_READABLE) from error
    if not isinstance(document, dict):
        raise QuantizeError(f"{path} holds no encodings", why="It is no JSON object.", hint=_READABLE)
    return document


class _UnusableError(Exception):
    """Why an entry can't be used."""


def _parse_1_0_0(fields: dict[str, Any]) -> Entry:
    kind = fields.get("enc_type")
    if fields.get("dtype") != "INT":
        raise _UnusableError(f"Its dtype is {fields.get('dtype')}.")
    if kind not in ("PER_TENSOR", "PER_CHANNEL"):
        raise _UnusableError(f"Its enc_type is {kind}.")
    if "zero_point_shift" in fields:
        raise _UnusableError("It has a zero_point_shift.")
    bits, signed = fields.get("bw"), fields.get("is_sym")
    if not isinstance(bits, int) or not 1 <= bits <= 32 or not isinstance(signed, bool):
        raise _UnusableError(f"bw is {bits}, is_sym is {signed}; they must be 1 to 32, and true or false.")
    scale = _scales(fields.get("scale"), "scale")
    offset = _integer(fields.get("offset"), "offset", len(scale))
    if kind == "PER_TENSOR" and len(scale) != 1:
        raise _UnusableError(f"It is PER_TENSOR and has {len(scale)} scales.")
    zero_point = -offset - (2 ** (bits - 1) if signed else 0)
    return Entry(fields["name"], bits, signed, scale, zero_point, None, kind == "PER_CHANNEL")


def _parse_2_0_0(fields: dict[str, Any]) -> Entry:
    dtype = fields.get("output_dtype")
    match = re.fullmatch(r"(u?)int(\d+)", dtype) if isinstance(dtype, str) else None
    if match is None:
        raise _UnusableError(f"Its output_dtype is {dtype}.")
    if "block_size" in fields or "per_block_int_scale" in fields:
        raise _UnusableError("It has one scale a block.")
    scale, axis = fields.get("y_scale"), fields.get("axis")
    if isinstance(scale, dict):
        raise _UnusableError("Its scale is quantized itself.")
    if axis is not None and not isinstance(axis, int):
        raise _UnusableError(f"Its axis is {axis}.")
    scales = _scales(scale if isinstance(scale, list) else [scale], "y_scale")
    if axis is None and len(scales) != 1:
        raise _UnusableError(f"It has {len(scales)} scales and no axis.")
    zero_point = fields.get("y_zero_point")
    zero = 0 if zero_point is None else _integer(zero_point, "y_zero_point", len(scales))
    return Entry(fields["name"], int(match[2]), not match[1], scales, zero, axis, axis is not None)


def _scales(values: object, key: str) -> NDArray[np.float64]:
    """[scales], all of them positive as float32, which is how ONNX and QNN store them."""
    try:
        scales = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise _UnusableError(f"{key} is no list of numbers.") from error
    if scales.ndim != 1 or not scales.size:
        raise _UnusableError(f"{key} is no flat list of numbers.")
    with np.errstate(over="ignore", under="ignore"):
        stored = scales.astype(np.float32)
    if not (np.isfinite(stored) & (stored > 0)).all():
        raise _UnusableError(f"{key} holds {scales[~(np.isfinite(stored) & (stored > 0))][0]}.")
    return scales


def _integer(values: object, key: str, count: int) -> int:
    """The one integer that all channels have; AIMET writes it as 0.0 as well."""
    listed = np.asarray(values if isinstance(values, list) else [values], object)
    if listed.shape not in ((1,), (count,)) or any(type(value) not in (int, float) for value in listed):
        raise _UnusableError(f"{key} is no number, and no list of {count}.")
    numbers = listed.astype(np.float64)
    if (numbers != numbers[0]).any():
        raise _UnusableError(f"{key} differs from channel to channel.")
    if not np.isfinite(numbers[0]) or numbers[0] % 1:
        raise _UnusableError(f"{key} is {listed[0]}, no whole number.")
    return int(numbers[0])
