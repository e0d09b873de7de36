"""What a layer's output errs by for want of exact weights, other things being exact.

A layer's output errs by E x, with E the error of its weights and x its input. So the float graph gets, beside each
layer, the same op on the same input with E for weights, once for each rounding that is to be judged, and answers with
the power of each E x. Nothing is drawn or estimated: every position of every sample counts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qnn_sd.quantize.encodings import Encodings, Integers
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

IntegersByWeight = Mapping[str, Integers]


def error_powers(
    graph: FloatGraph,
    encodings: Encodings,
    roundings: Mapping[str, IntegersByWeight],
    layers: Sequence[str],
    samples: Iterable[Feeds],
) -> dict[str, dict[str, float]]:
    """The error of layers' outputs on the inputs that the float graph feeds them.

    Args:
        graph: the float graph.
        encodings: whose scales the integers count in.
        roundings: by a name of yours, the integers of the layers' weights by the weight's name, in its shape.
        layers: names of their outputs.
        samples: feeds of the graph.

    Returns:
        By the rounding's name, then by layer: squares of the error, added up over samples, positions and channels.
    """
    pairs = [(rounding, layer) for rounding in roundings for layer in layers]
    model = _with_errors(graph, encodings, roundings, layers)
    session = reference_session(model, folder=graph.folder, in_order=True)
    names = [_power(*pair) for pair in pairs]
    total = np.zeros(len(pairs))
    for feeds in samples:
        total += np.array(session.run(names, dict(feeds)), np.float64)
    powers: dict[str, dict[str, float]] = {rounding: {} for rounding in roundings}
    for (rounding, layer), power in zip(pairs, total, strict=True):
        powers[rounding][layer] = float(power)
    return powers


def _power(rounding: str, layer: str) -> str:
    return f"{layer}.{rounding}.power"


def _with_errors(
    graph: FloatGraph, encodings: Encodings, roundings: Mapping[str, IntegersByWeight], layers: Sequence[str]
) -> onnx.ModelProto:
    """The float graph with one more output for each layer and rounding: the power of the layer's error."""
    model = copy.deepcopy(graph.model)
    producers = {node.output[0]: node for node in model.graph.node}
    for layer in layers:
        weight = graph.roles.layers[layer].weight
        exact, encoding = graph.array(weight), encodings.parameters[weight]
        along = [-1 if axis == encoding.axis else 1 for axis in range(exact.ndim)]
        for rounding, integers in roundings.items():
            error = integers[weight].astype(np.float32) * encoding.scale.reshape(along) - exact
            twin = copy.deepcopy(producers[layer])
            del twin.input[1:]  # the bias errs alike whatever the weights are
            twin.name = twin.output[0] = f"{layer}.{rounding}"
            twin.input.append(f"{layer}.{rounding}.weight")
            power = helper.make_node("ReduceSumSquare", [twin.output[0]], [_power(rounding, layer)], keepdims=0)
            model.graph.node.extend([twin, power])
            model.graph.initializer.append(numpy_helper.from_array(error, twin.input[1]))
            model.graph.output.append(helper.make_tensor_value_info(power.output[0], TensorProto.FLOAT, ()))
    return model
