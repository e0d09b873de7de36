"""What a context binary says of itself, read with the wheel's own ``libQnnSystem.so``.

The library parses a stranger's file, so it does that in a child process: a hostile or damaged one takes nothing else
with it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from qnn_sd.binaries.children import run_child
from qnn_sd.compile.process import last_lines
from qnn_sd.config import StrictModel
from qnn_sd.errors import BinaryError

# The largest one, 0.9 GB, takes a second.
_SECONDS = 120
EncodingKind = Literal["scale_offset", "axis_scale_offset", "bw_scale_offset", "bw_axis_scale_offset", "block", "other"]


class TensorEncoding(StrictModel):
    """How integers stand for values: ``value = scale * (integer + offset)``.

    Attributes:
        kind: QNN's name of the form.
        bits: of the integers.
        scale: of all of the tensor; null where there are several, or it is no number.
        offset: likewise.
        least: the smallest value that can be said; null without one scale.
        greatest: the largest one; likewise.
        axis: along which there are several scales; null for one scale, and for blocks.
        count: how many scales there are.
    """

    kind: EncodingKind
    bits: int
    scale: float | None = None
    offset: int | None = None
    least: float | None = None
    greatest: float | None = None
    axis: int | None = None
    count: int = 1


class BinaryTensor(StrictModel):
    """An input or output of a graph in a context binary.

    Attributes:
        name: its name.
        dtype: QNN's data type, such as ``ufixed16`` or ``float32``; ``0x…`` for a number that isn't known here.
        dims: its shape.
        encoding: null for one that isn't quantized.
        layout: ``NCHW`` or ``NHWC`` by what the shape looks like, which is a guess; null where it looks like neither.
        version: of the structure that describes it.
    """

    name: str
    dtype: str
    dims: list[int]
    encoding: TensorEncoding | None
    layout: Literal["NCHW", "NHWC"] | None
    version: int


class BinaryGraph(StrictModel):
    """A graph in a context binary.

    Attributes:
        name: its name, which a node that runs it must have where there are several graphs.
        inputs: in the binary's order.
        outputs: likewise.
        updateable: how many tensors may be exchanged, such as those of a LoRA.
        vtcm_bytes: of on-chip memory that it was compiled for; null where the binary doesn't say.
        spill_fill_bytes: of memory for what doesn't fit into it; null where the binary doesn't say.
        optimization_level: that it was compiled at; null where the binary doesn't say.
        version: of the structure that describes it.
    """

    name: str
    inputs: list[BinaryTensor]
    outputs: list[BinaryTensor]
    updateable: int
    vtcm_bytes: int | None
    spill_fill_bytes: int | None
    optimization_level: int | None
    version: int


class BinaryInfo(StrictModel):
    """A context binary's description of itself.

    Attributes:
        backend: QNN's number of the backend that it is for; 6 is the HTP.
        build_id: of the QAIRT that compiled it, such as ``v2.50.40.260831140417``.
        soc_model: QNN's number of the SoC; null where the binary doesn't say.
        htp_arch: Hexagon architecture; null where the binary doesn't say.
        core_api: version of QNN's interface.
        backend_api: version of the backend's interface.
        context_version: of the binary's own format.
        graphs: all of them.
        version: of the structure that describes it, 1 to 3.
    """

    backend: int
    build_id: str
    soc_model: int | None
    htp_arch: int | None
    core_api: str
    backend_api: str
    context_version: str
    graphs: list[BinaryGraph]
    version: int


HTP_BACKEND = 6


def read_binary(path: Path, start: int = 0, size: int | None = None) -> BinaryInfo:
    """Reads a context binary's description.

    Args:
        path: the file that it is in.
        start: where in the file it begins, in bytes.
        size: its bytes; None for all that follow.

    Raises:
        BinaryError: the library doesn't take it for one, or crashes on it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        request = {"file": str(path), "start": start, "size": size, "answer": str(answer)}
        try:
            code, printed = run_child("qnn_sd.binaries.read_child", request, _SECONDS)
        except subprocess.TimeoutExpired as error:
            raise _not_read(path, f"QNN's library was still at it after {_SECONDS} s.") from error
        if code < 0:
            raise _not_read(path, "QNN's library crashed on it.")
        if code:
            raise _not_read(path, last_lines(printed.splitlines(), 1) or "QNN's library refuses it.")
        try:
            return BinaryInfo.model_validate(json.loads(answer.read_text("utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise _not_read(path, "What QNN's library says of it makes no sense.") from error


def _not_read(path: Path, why: str) -> BinaryError:
    return BinaryError(
        f"{path} can't be read as a context binary",
        why=why,
        hint="Get or build the file again. If it is whole, another backend or a much newer QAIRT made it.",
    )
