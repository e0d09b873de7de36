"""What of a component goes to AI Hub: its QDQ graph, or its float graph with encodings in AIMET's format."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.artifact import Artifact
from qnn_sd.compile.narrow_operands import with_fitting_operands
from qnn_sd.compile.process import Job
from qnn_sd.config import DeviceProfile
from qnn_sd.onnx_files import DATA_FILE, MODEL_FILE, ExternalData, load_structure, read_array

HubSource = Literal["qdq", "aimet"]
ENCODINGS_FILE = "encodings.json"


@contextmanager
def graph_to_send(
    source: HubSource, qdq: Artifact, floats: Artifact | None, profile: DeviceProfile
) -> Iterator[tuple[Path, Path | None, int]]:
    """The folder with the graph that goes to AI Hub, a temporary one where it is made for it.

    Args:
        source: which form is sent.
        qdq: the QDQ graph.
        floats: the float graph; None where the QDQ graph is sent.
        profile: the SoC; where its HTP takes no int16 second operands, the QDQ graph is sent with int8 in their place,
            as the local compiler gets it.

    Yields:
        Folder of ``model.onnx`` and its weights; the encodings' file, or None; how many operands have int8.
    """
    with tempfile.TemporaryDirectory(prefix="qnn-sd-hub-") as scratch:
        if floats is not None and source == "aimet":
            write_rounded(floats.folder, qdq.folder, Path(scratch))
            yield Path(scratch), qdq.file(ENCODINGS_FILE), 0
            return
        job = Job(qdq.folder, Path(scratch), profile.soc_model, profile.htp_arch, profile.optimization_mode)
        with with_fitting_operands(job) as (fitting, narrowed):
            yield fitting.graph or qdq.folder, None, narrowed


def bytes_to_send(source: HubSource, qdq: Artifact, floats: Artifact | None) -> int | None:
    """How much that is, before it is packed; None where it isn't built yet."""
    files = [(floats if source == "aimet" and floats else qdq).folder / name for name in (MODEL_FILE, DATA_FILE)]
    if source == "aimet":
        files.append(qdq.file(ENCODINGS_FILE))
    if not files[0].is_file() or not qdq.file(MODEL_FILE).is_file():
        return None
    return sum(file.stat().st_size for file in files if file.is_file())


def write_rounded(floats: Path, qdq: Path, folder: Path) -> None:
    """Writes the float graph with the values that the QDQ graph's weights have.

    Encodings don't say which integer AdaRound chose. Of such values rounding to nearest finds it again.

    Args:
        floats: folder of the float graph.
        qdq: folder of its QDQ graph.
        folder: existing empty folder.
    """
    model, chosen = load_structure(floats), _integer_weights(load_structure(qdq).graph)
    data = ExternalData(folder)
    try:
        for tensor in model.graph.initializer:
            values = _dequantized(chosen[tensor.name], qdq) if tensor.name in chosen else read_array(tensor, floats)
            tensor.CopyFrom(data.add(tensor.name, values.reshape(tuple(tensor.dims))))
    finally:
        data.close()
    onnx.save_model(model, folder / MODEL_FILE)


def _integer_weights(graph: onnx.GraphProto) -> dict[str, tuple[list[onnx.TensorProto], int]]:
    """By a weight's name: its integers, scales and zero points, and the axis of these."""
    constants = {each.name: each for each in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            parts = [constants[name] for name in node.input]
            if parts[0].data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT4):
                axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
                found[node.output[0]] = (parts, axis)
    return found


def _dequantized(weight: tuple[list[onnx.TensorProto], int], folder: Path) -> NDArray[Any]:
    parts, axis = weight
    integers, scale, zero_point = (read_array(each, folder) for each in parts)
    if scale.ndim:
        shape = [1] * integers.ndim
        shape[axis] = -1
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    values: NDArray[Any] = (integers.astype(np.float32) - zero_point.astype(np.float32)) * scale
    return values.astype(np.float32)
