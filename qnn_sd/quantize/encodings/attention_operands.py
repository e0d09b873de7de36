"""Second operands of products of two activations: attention's keys (transposed) and values, signed and symmetric.

The HTP computes a uint16 second operand with 8 bits, whatever its range. Given as int16 it is exact, and where there
are many keys it costs half as much time again (docs/htp-forms.md). So those of many keys are int8, each head's with a
range of its own, as long as data that nothing was fitted to loses next to nothing by it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize.encodings.encoding import Encoding, second_operand, symmetric
from qnn_sd.quantize.encodings.from_ranges import Encodings
from qnn_sd.quantize.graph.float_graph import FloatGraph
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges.measured import Ranges
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

# With fewer keys int8 saves no time.
INT8_ABOVE_KEYS = 128
# What int8 may cost of the SQNR against float on held-out data, in dB.
MAX_LOSS_DB = 0.5
# By how much the range of an int8 one is wider than what calibration met. Its steps are coarse, so that room costs more
# than the rare number that is cut off: twice the range, as 16 bits have it, would cost 6 dB of these tensors' 40.
INT8_RANGE_MARGIN = 1.1


@dataclass(frozen=True)
class OperandChoice:
    """What became of the candidates for 8 bits.

    Attributes:
        encodings: with the chosen operands.
        metadata: for the manifest.
    """

    encodings: Encodings
    metadata: dict[str, Any]


def int8_candidates(graph: FloatGraph) -> tuple[str, ...]:
    """The second operands of products over or with many keys, in the graph's order."""
    inferred = onnx.shape_inference.infer_shapes(graph.model).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info)
    }
    found = []
    for node in graph.model.graph.node:
        # A table that is laid out otherwise is no activation, and nothing was measured of it.
        if node.op_type != "MatMul" or graph.roles.owner(node.input[1]) not in graph.roles.floats:
            continue
        shape = shapes.get(node.input[1], [])
        weighs = graph.roles.owner(node.input[0]) in graph.roles.softmax_outputs
        if len(shape) > 1 and shape[-2 if weighs else -1] > INT8_ABOVE_KEYS:
            found.append(node.input[1])
    return tuple(dict.fromkeys(found))


def with_int8_operands(graph: FloatGraph, encodings: Encodings, ranges: Ranges, beyond: Ranges) -> Encodings:
    """The encodings with all candidates in int8.

    Args:
        graph: the float graph.
        encodings: of its tensors.
        ranges: measured, by the name of what owns an encoding.
        beyond: ranges of rarer cases, covered as they are.
    """

    def encoding(name: str) -> Encoding:
        owner = graph.roles.owner(name)
        reach = max(map(abs, ranges[owner])) * INT8_RANGE_MARGIN
        widest = second_operand(encodings.activations[name]).range()[1]
        return symmetric(min(widest, max(reach, *map(abs, beyond.get(owner, ranges[owner])))), 8)

    return replace(encodings, operands={name: encoding(name) for name in int8_candidates(graph)})


def select_int8_operands(
    graph: FloatGraph,
    every: Encodings,
    rounded: Mapping[str, NDArray[np.int8]],
    held_out: Sequence[Feeds],
    work: Path,
    each: Callable[[int], None] = lambda _all: None,
) -> OperandChoice:
    """Gives operands of many keys 8 bits, as many as held-out data lets go by.

    All of them first. Where that loses too much, those that int8 suits least keep 16 bits, as few as a bisection finds.

    Args:
        graph: the float graph.
        every: encodings with all of them in int8 (``with_int8_operands``).
        rounded: the weights' integers.
        held_out: feeds that nothing was fitted to.
        work: existing folder, for the graphs that are compared.
        each: called after each run of a graph with how many there are, if int8 suits all.
    """
    if not every.operands:
        return OperandChoice(every, {})
    runs = 3 * len(held_out)  # of the float graph, with 16 bits, with 8

    def outputs(folder: Path) -> NDArray[np.float32]:
        session = reference_session(folder / MODEL_FILE)
        found = []
        for feeds in held_out:
            found.append(session.run(None, dict(feeds))[0])
            each(runs)
        return np.array(found)

    def only(names: Iterable[str]) -> Encodings:
        return replace(every, operands={name: every.operands[name] for name in names})

    def db(names: Iterable[str]) -> float:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            QdqWriter(graph, only(names), Path(folder), rounded).write()
            return sqnr_db(expected, outputs(Path(folder)))

    expected = outputs(graph.folder)
    wide = db(())
    kept, lost = _most(
        list(every.operands), lambda: _by_suitability(graph, held_out[0], every), lambda names: wide - db(names)
    )
    metadata = {"int8_operands": len(kept), "int16_operands": len(every.operands) - len(kept), "loss_db": lost}
    return OperandChoice(only(kept), metadata)


def _most(
    names: Sequence[str], ranked: Callable[[], Sequence[str]], loss: Callable[[Sequence[str]], float]
) -> tuple[Sequence[str], float]:
    """The most operands in 8 bits that lose little enough, and what they lose."""
    lost = loss(names)
    if lost <= MAX_LOSS_DB:  # NaN isn't
        return names, lost
    best = ranked()
    least, most = 0, len(names)  # how many are known to be few enough, and too many
    lost = 0.0
    while most - least > 1:
        count = (least + most) // 2
        found = loss(best[:count])
        if found <= MAX_LOSS_DB:
            least, lost = count, found
        else:
            most = count
    return best[:least], lost


def _by_suitability(graph: FloatGraph, feeds: Feeds, chosen: Encodings) -> list[str]:
    """The operands, those first that int8 changes least, on one sample of the float graph."""
    names = list(chosen.operands)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    values = reference_session(model, folder=graph.folder).run(names, dict(feeds))
    likeness = {}
    for name, value in zip(names, values, strict=True):
        encoding = chosen.operands[name]
        likeness[name] = sqnr_db(value, encoding.quantize(value) * np.float32(encoding.scale))
    return sorted(names, key=lambda name: -likeness[name])
