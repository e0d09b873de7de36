"""One ``.safetensors`` file: its header checked before anything else, its tensors read from a memory map.

The layout is 8 bytes of header length (little endian), the header (a JSON object of dtype, shape
and byte range for each tensor), then the tensors' bytes without a gap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.not_weights import refuse_other_content
from qnn_sd.export.checkpoint.tensors import Array

# No real header comes near it (Stable Diffusion's are 130 kB); the format's own limit is the same.
MOST_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
# A file that ends in as many zeros was rather not downloaded to its end, into room that was made for all of it.
_MANY_ZEROS = 1 << 22

_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
# What is read as weights; the rest may stand in a file (position ids, say), but is no weight here. All but F64 have
# float32 values; of F64 the nearest is taken.
_FLOATS: Mapping[str, DTypeLike] = {
    "F32": "<f4",
    "F16": "<f2",
    "BF16": ml_dtypes.bfloat16,
    "F64": "<f8",
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
# What a single number may be besides: a LoRA's alpha is often a whole one.
_WHOLE: Mapping[str, DTypeLike] = {
    "BOOL": "u1",
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}

_NOT_WHOLE = "Download or copy the file again: it is not whole."
_OTHER_FORMAT = "Get the model in fp16 or fp32."
_REWRITE = "Get the file from where it was made: the tool that wrote it last did it wrongly."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different: of two with one name, each reader sees another."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class SafetensorsFile:
    """The tensors of one file, read one at a time.

    Args:
        path: the file.

    Attributes:
        shapes: of all tensors, by name.
        metadata: what the header says beside the tensors, as text.
        remark: what a user should know of the file; None for nothing.

    Raises:
        CheckpointError: the file is missing, something else (named), truncated, or its header lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_other_content(path)
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                start = file.read(_LENGTH_BYTES)
                length = int.from_bytes(start, "little")
                if len(start) < _LENGTH_BYTES:
                    self._refuse(f"It has {size} bytes, too few for a header")
                if length > min(MOST_HEADER_BYTES, size - _LENGTH_BYTES):
                    self._refuse(f"Its header would have {length:,} bytes, the file has {size:,}")
                header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_once)
        except OSError as error:
            self._refuse(error.strerror or str(error), error)
        except (ValueError, RecursionError) as error:
            self._refuse(f"Its header is no JSON: {error}", error)
        if not isinstance(header, dict):
            self._refuse("Its header is no JSON object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            self._refuse("Its __metadata__ is no object", hint=_REWRITE)
        self.remark: str | None = None
        strange = sorted(name for name, value in metadata.items() if not isinstance(value, str))
        if strange:
            self.remark = (
                f"{path.name} has other values than text in its __metadata__ ({', '.join(strange[:3])}), which the "
                "format doesn't allow: they are read as text"
            )
        self.metadata: Mapping[str, str] = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()
        }
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes: dict[str, str] = {}
        self._ranges: dict[str, tuple[int, int]] = {}
        for name, entry in header.items():
            self._check(name, entry)
        data = size - _LENGTH_BYTES - length
        self._refuse_gaps(data)
        self._bytes = np.memmap(path, np.uint8, "r", _LENGTH_BYTES + length, (data,)) if data else np.empty(0, np.uint8)
        if data > _MANY_ZEROS and not self._bytes[-_MANY_ZEROS:].any():
            zeros = f"{path.name} ends in {_MANY_ZEROS >> 20} MiB of zeros, as a download that was broken off"
            self.remark = "; ".join(filter(None, (self.remark, zeros)))

    def _refuse(self, why: str, cause: BaseException | None = None, hint: str = _NOT_WHOLE) -> NoReturn:
        raise CheckpointError(f"{self.path} can't be read", why=f"{why}.", hint=hint) from cause

    def _check(self, name: str, entry: object) -> None:
        """Notes a tensor whose entry is consistent in itself."""
        if not isinstance(entry, dict):
            self._refuse(f"The header's entry of {name} is no object")
        dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str) or dtype not in _BYTES:
            known = isinstance(dtype, str) and dtype.startswith(("F4", "F6"))
            self._refuse(
                f"{name} has the dtype {dtype!r}, which isn't known", hint=_OTHER_FORMAT if known else _NOT_WHOLE
            )
        if not isinstance(shape, list) or not all(map(_is_count, shape)):
            self._refuse(f"{name} has the shape {shape!r}")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
            self._refuse(f"{name} has the offsets {offsets!r}")
        begin, end = offsets
        needed = math.prod(shape) * _BYTES[dtype]
        if end - begin != needed:
            self._refuse(f"{name} takes {needed:,} bytes, its offsets {begin:,} to {end:,} hold {end - begin:,}")
        self.shapes[name], self._dtypes[name], self._ranges[name] = tuple(shape), dtype, (begin, end)

    def _refuse_gaps(self, data: int) -> None:
        """Raises unless the tensors fill the data, each byte once."""
        place = 0
        for name, (begin, end) in sorted(self._ranges.items(), key=lambda item: item[1]):
            if end > data:
                self._refuse(f"{name} would end at byte {end:,} of {data:,}")
            if begin < place:
                self._refuse(f"{name} overlaps the tensor before it")
            if begin > place:
                self._refuse(f"{begin - place:,} bytes before {name} belong to no tensor")
            place = end
        if place != data:
            self._refuse(f"{data - place:,} bytes at its end belong to no tensor")

    def read(self, name: str) -> Array:
        """A tensor as float32: a view of the map where it is float32 already.

        Raises:
            CheckpointError: it is of a format without fractions, or holds NaN or infinity.
        """
        dtype = self._dtypes[name]
        if dtype not in _FLOATS:
            raise CheckpointError(
                f"{name} in {self.path} is {dtype}",
                why=f"Weights are read as {', '.join(_FLOATS)}: whole numbers mean nothing without their scales.",
                hint=_OTHER_FORMAT,
            )
        return self._values(name, _FLOATS[dtype])

    def read_number(self, name: str) -> float:
        """A tensor of one element, in any format.

        Raises:
            CheckpointError: it has other elements than one, isn't finite, or is no number.
        """
        dtype = self._dtypes[name]
        kind = _FLOATS.get(dtype, _WHOLE.get(dtype))
        count = math.prod(self.shapes[name])
        if kind is None or count != 1:
            what = f"is {dtype}" if kind is None else f"has {count} values"
            raise CheckpointError(
                f"{name} in {self.path} {what}, not one number", hint="Get the file from where it was made."
            )
        return float(self._values(name, kind).ravel()[0])

    def _values(self, name: str, kind: DTypeLike) -> Array:
        begin, end = self._ranges[name]
        stored = np.asarray(self._bytes[begin:end]).view(kind).reshape(self.shapes[name])
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large for float32 is named below
            array: Array = stored.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} in {self.path} holds NaN or infinity", hint="Get another copy of the file.")
        return array
