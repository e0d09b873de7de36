"""Activation ranges, measured on the float graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from qnn_sd.errors import QuantizeError
from qnn_sd.interruption import run_session
from qnn_sd.onnx_files import MODEL_FILE, load_structure
from qnn_sd.quantize.graph import tensor_roles
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

# Smallest and largest value by activation.
Ranges = Mapping[str, tuple[float, float]]
NO_RANGES: Ranges = MappingProxyType({})
_ENDS = ("ReduceMin", "ReduceMax")
# ONNX Runtime's names of the types that inputs have here, and numpy's.
_TYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64"}


def measure(folder: Path, samples: Iterable[Feeds], on_sample: Callable[[], None]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of every float activation over all samples.

    The reductions are part of the graph, so that no activation leaves the runtime.

    Args:
        folder: of the float model.
        samples: feeds, by input name.
        on_sample: called after each sample.

    Raises:
        QuantizeError: no samples, samples that aren't the graph's, or an activation that is not finite (named).
    """
    model = load_structure(folder)
    names = list(tensor_roles(model).floats)
    _reduce_to_ranges(model.graph, names)
    session = reference_session(model, folder=folder, in_order=True)
    low = np.full(len(names), np.inf)
    high = np.full(len(names), -np.inf)
    count = 0
    for feeds in samples:
        _require_inputs_of(folder, session, feeds, count)
        found = run_session(session, None, feeds)[0].reshape(-1, 2).astype(np.float64)
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            raise QuantizeError(
                f"Calibration met NaN or infinity in {names[int(bad.argmax())]}",
                why=f"Sample {count} of the calibration data, in the float graph {folder / MODEL_FILE}.",
                hint="Is the checkpoint sound? Try it with --target cpu --precision float.",
            )
        low, high = np.minimum(low, found[:, 0]), np.maximum(high, found[:, 1])
        count += 1
        on_sample()
    if not count:
        raise QuantizeError("There is no calibration data", hint="Give at least one prompt.")
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _reduce_to_ranges(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Makes smallest and largest value of each tensor, in turn, the graph's only output, ``range.all``."""
    numbers = {name: number for number, name in enumerate(names)}
    flat = numpy_helper.from_array(np.array([-1], np.int64), "range.flat")
    graph.initializer.append(flat)
    nodes = list(graph.node)
    del graph.node[:], graph.output[:]

    def reduce(name: str) -> None:
        row = f"range.{numbers[name]}"
        graph.node.append(helper.make_node("Reshape", [name, flat.name], [row]))
        for op in _ENDS:
            graph.node.append(helper.make_node(op, [row], [f"{row}.{op}"], keepdims=1))

    for value in graph.input:
        if value.name in numbers:
            reduce(value.name)
    for node in nodes:
        graph.node.append(node)
        # At once, and not at the end: until then every activation would have to be kept.
        for name in node.output:
            if name in numbers:
                reduce(name)
    ends = [f"range.{number}.{op}" for number in range(len(names)) for op in _ENDS]
    graph.node.append(helper.make_node("Concat", ends, ["range.all"], axis=0))
    graph.output.append(helper.make_tensor_value_info("range.all", TensorProto.FLOAT, [len(ends)]))


def _require_inputs_of(folder: Path, session: onnxruntime.InferenceSession, feeds: Feeds, number: int) -> None:
    """Refuses samples that were recorded of another model, or of images of another size."""
    wanted = {value.name: (_TYPES[value.type], list(value.shape)) for value in session.get_inputs()}
    given = {name: (array.dtype.name, list(array.shape)) for name, array in feeds.items()}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            has, wants = (_described(tensors.get(name)) for tensors in (given, wanted))
            raise QuantizeError(
                f"The calibration data is not for {folder / MODEL_FILE}",
                why=f"Its sample {number} has {has} as {name}, the graph takes {wants}.",
                hint="Record it with the same checkpoint and the same --size.",
            )


def _described(tensor: tuple[str, list[int]] | None) -> str:
    return "nothing" if tensor is None else f"{tensor[0]} {tensor[1]}"
