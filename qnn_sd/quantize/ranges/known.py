"""Ranges that follow from what an input may be, not from what calibration met.

A time step is a number between 0 and the schedule's end. Calibration sees a few of them, a user's schedule has others:
what lies outside the measured range would be cut off.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges.measured import Ranges
from qnn_sd.reference import reference_session

_STEPS = 2**16 - 1


def known_ranges(graph: FloatGraph, input_ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Ranges of inputs that are known beforehand, and of what is a multiple of such a number plus something.

    Ops of that kind (``op_rules.AFFINE_OPS``) rise or fall all the way, so that the ends give the range. A range from 0
    is widened until its 16-bit step is a power of two: whole numbers, as most schedules have them, are exact then.

    Args:
        graph: the float graph.
        input_ranges: smallest and largest value by input name; what isn't an input of the graph is left out.
    """
    values = {value.name: value for value in graph.model.graph.input if value.name in input_ranges}
    known = {name: _exact_for_whole_numbers(*input_ranges[name]) for name in values}
    for name, value in values.items():
        following = [other for other in _following(graph, name) if other != name]
        if not following:
            continue
        nodes = [node for node in graph.model.graph.node if node.output[0] in following]
        constants = {other for node in nodes for other in node.input} & graph.roles.constants.keys()
        model = helper.make_model(
            helper.make_graph(
                nodes,
                "affine_chains",
                [value],
                [helper.make_tensor_value_info(other, TensorProto.FLOAT, None) for other in following],
                [tensor for tensor in graph.model.graph.initializer if tensor.name in constants],
            ),
            opset_imports=graph.model.opset_import,
        )
        model.ir_version = graph.model.ir_version
        session = reference_session(model, folder=graph.folder)
        shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        ends = [session.run(following, {name: np.full(shape, end, np.float32)}) for end in known[name]]
        for number, other in enumerate(following):
            both = np.concatenate([end[number].reshape(-1) for end in ends])
            known[other] = float(both.min()), float(both.max())
    return known


def _following(graph: FloatGraph, name: str) -> list[str]:
    """What is computed of an input by affine ops alone, in the graph's order."""
    found = [name]
    for node in graph.model.graph.node:
        if node.output[0] in graph.roles.affine_chains and any(other in found for other in node.input):
            found.append(node.output[0])
    return found


def _exact_for_whole_numbers(low: float, high: float) -> tuple[float, float]:
    if low != 0 or high <= 0:
        return low, high
    step = 2.0 ** np.ceil(np.log2(high / _STEPS))
    return 0.0, float(step * _STEPS)
