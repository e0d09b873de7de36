"""The margin that a measured range gets: numbers larger than any that calibration met must not be cut off."""

from __future__ import annotations

from qnn_sd.quantize.graph import TensorRoles
from qnn_sd.quantize.ranges.measured import Ranges

# What a measured range is widened by. With 16 bits, twice the range costs 6 dB of some 90, and one pixel of noise that
# is cut off costs more than all rounding (docs/quantization.md, "Ranges").
RANGE_MARGIN = 2.0


def with_margin(
    name: str, ranges: Ranges, other_guidance_ranges: Ranges, margin: float, roles: TensorRoles, non_negative: bool
) -> tuple[float, float]:
    """The range of an activation that is to be covered.

    Args:
        name: of the activation.
        ranges: measured on samples of the default guidance.
        other_guidance_ranges: measured on the others; they are covered without a margin.
        margin: what the range is multiplied by, where that is of use.
        roles: of the graph's tensors.
        non_negative: whether the activation can't be negative.
    """
    low, high = measured = ranges[name]
    other_low, other_high = other_guidance_ranges.get(name, measured)
    if name in roles.affine_chains:
        return min(low, other_low), max(high, other_high)
    if name in roles.squares:
        margin *= margin  # what is twice as large has four times its square
    one_sided = not low < 0 < high
    low, high = margin * low, margin * high
    if one_sided and not non_negative:
        # Zero is no bound, but for tensors that can't cross it: the end beside zero gets its part of the margin too.
        added = (margin - 1) * (measured[1] - measured[0])
        low, high = min(low, measured[0] - added), max(high, measured[1] + added)
    low, high = min(low, other_low), max(high, other_high)
    if not one_sided:
        # Which side is the longer may be chance: a channel's mean, say, is one number an image.
        low, high = -max(-low, high), max(-low, high)
    return low, min(high, 1.0) if name in roles.softmax_outputs else high
