"""Second operands of products of two activations: attention's keys (transposed) and values, signed and symmetric.

The HTP computes a uint16 second operand with 8 bits, whatever its range. Given as int16 it is exact, and where there
are many keys it costs half as much time again (docs/htp-forms.md). So those of many keys are candidates for int8, each
head's with a range of its own; which of them get it, ``operand_selection.py`` decides on held-out data.
"""

from __future__ import annotations

from dataclasses import replace

import onnx

from qnn_sd.quantize.encodings.encoding import Encoding, Encodings, second_operand, symmetric
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges import NO_RANGES, Ranges

# With fewer keys int8 saves no time.
INT8_ABOVE_KEYS = 128
# By how much the range of an int8 one is wider than what calibration met. Its steps are coarse, so that a margin
# costs more than the rare number that is cut off: twice the range, as 16 bits have it, would cost 6 dB of these
# tensors' 40.
INT8_RANGE_MARGIN = 1.1


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
        if node.op_type != "MatMul" or graph.roles.encoding_owner(node.input[1]) not in graph.roles.floats:
            continue
        shape = shapes.get(node.input[1], [])
        is_weighting = graph.roles.encoding_owner(node.input[0]) in graph.roles.softmax_outputs
        if len(shape) > 1 and shape[-2 if is_weighting else -1] > INT8_ABOVE_KEYS:
            found.append(node.input[1])
    return tuple(dict.fromkeys(found))


def with_int8_operands(
    graph: FloatGraph, encodings: Encodings, ranges: Ranges, other_guidance_ranges: Ranges = NO_RANGES
) -> Encodings:
    """The encodings with all candidates in int8.

    Args:
        graph: the float graph.
        encodings: of its tensors.
        ranges: measured, by the name of what owns an encoding.
        other_guidance_ranges: ranges at other guidance scales, covered without a margin.
    """

    def encoding(name: str) -> Encoding:
        owner = graph.roles.encoding_owner(name)
        reach = max(map(abs, ranges[owner])) * INT8_RANGE_MARGIN
        widest = second_operand(encodings.activations[name]).range()[1]
        return symmetric(min(widest, max(reach, *map(abs, other_guidance_ranges.get(owner, ranges[owner])))), 8)

    return replace(encodings, operands={name: encoding(name) for name in int8_candidates(graph)})
