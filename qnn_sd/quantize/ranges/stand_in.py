"""Stand-in ranges: plausible ones from the graph alone, where nothing has been measured yet.

What a QDQ graph costs on the HTP depends on its shapes and on how wide its integers are, hardly on
its scales, with one exception: where two neighbours have the same scale, the compiler leaves out the
step from one to the other. So stand-in ranges must differ from tensor to tensor, just as measured
ones do, and must be equal where the rules let tensors share an encoding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import onnx

from qnn_sd.quantize.graph import tensor_roles
from qnn_sd.quantize.graph.op_rules import NON_NEGATIVE_OPS
from qnn_sd.quantize.ranges.measured import Ranges

# The reach of a normalized tensor; sums and products are scaled back to it again and again.
_REACH = 6.0
_SPREAD = 0.25
# By how much the widths of neighbours' ranges differ at least.
_APART = 0.01
# Multiples of the golden ratio, without their whole parts, spread evenly over 0 to 1 however many are
# taken (Knuth, The Art of Computer Programming 3, section 6.4).
_GOLDEN = (5**0.5 - 1) / 2


def stand_in_ranges(model: onnx.ModelProto) -> Ranges:
    """A range for every float activation; the same graph always gets the same ones.

    Args:
        model: the float graph; its weights aren't looked at.

    Returns:
        Smallest and largest value by activation. About -6 to 6, from 0 up where an op is never
        negative, as known where an op's range is, and the owner's where an encoding is shared.

    Raises:
        QuantizeError: an op that no rule covers.
    """
    roles = tensor_roles(model)
    producers = {output: node for node in model.graph.node for output in node.output}
    ranges: dict[str, tuple[float, float]] = {}
    candidates = _candidates()
    for name in roles.floats:
        producer = producers.get(name)
        owner = roles.encoding_owner(name)
        if owner in ranges:
            ranges[name] = ranges[owner]
            continue
        if name in roles.known:
            ranges[name] = roles.known[name]
            continue
        neighbours = [ranges[read] for read in (producer.input if producer else ()) if read in ranges]
        # A Concat of dozens must still find a place between all of them.
        apart = min(_APART, 0.2 * _SPREAD / max(1, len(neighbours)))
        for reach in candidates:
            chosen = (0.0 if producer and producer.op_type in NON_NEGATIVE_OPS else -reach, reach)
            if all(_differ(chosen, other, apart) for other in neighbours):
                ranges[name] = chosen
                break
    return ranges


def _candidates() -> Iterator[float]:
    # One number for both sides: a range that holds zero is given as much below it as above it.
    return (_REACH * (1 + _SPREAD * (index * _GOLDEN % 1)) for index in itertools.count())


def _differ(one: tuple[float, float], other: tuple[float, float], apart: float) -> bool:
    widths = sorted(high - low for low, high in (one, other))
    return widths[0] * (1 + apart) < widths[1]
