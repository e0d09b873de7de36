"""How many bits the tensors of a graph get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from qnn_sd.errors import QuantizeError
from qnn_sd.quantize.encodings.encoding import Encodings

WEIGHT_BITS = (4, 8)
ACTIVATION_BITS = (16,)


@dataclass(frozen=True)
class QuantizationScheme:
    """The bit widths of a graph's tensors. ``dataclasses.asdict`` of it is plain JSON.

    Attributes:
        weight_bits: of weights that no pattern names, 4 or 8. The HTP takes both with one scale per output channel.
        activation_bits: 16.
        weight_overrides: bits by pattern of weights' names, as ``fnmatch`` reads it with upper and lower case told
            apart, such as ``{"down_blocks.*.weight": 4}``. Of several patterns that match, the first counts.

    Raises:
        QuantizeError: a width that isn't possible.
    """

    weight_bits: int = 8
    activation_bits: int = 16
    weight_overrides: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked = [("weights", self.weight_bits, WEIGHT_BITS), ("activations", self.activation_bits, ACTIVATION_BITS)]
        asked += [(f"weights {pattern}", bits, WEIGHT_BITS) for pattern, bits in self.weight_overrides.items()]
        for what, bits, possible in asked:
            if bits not in possible:
                raise QuantizeError(
                    f"{bits} bits for {what} are not possible",
                    why="They are not a width that is written and tested for the HTP.",
                    hint=f"Choose {' or '.join(map(str, possible))}.",
                )

    def bits_by_weight(self, weights: Iterable[str]) -> dict[str, int]:
        """The bits of each weight of a graph.

        Args:
            weights: their names.

        Raises:
            QuantizeError: a pattern that matches none of them.
        """
        names = tuple(weights)
        for pattern in self.weight_overrides:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise QuantizeError(
                    f"No weight of the graph matches {pattern}",
                    why=f"It has {len(names):,} weights{f', the first is {names[0]}' if names else ''}.",
                    hint="Correct the pattern; encodings.json lists the weights by name.",
                )
        return {name: self._bits_of(name) for name in names}

    def _bits_of(self, name: str) -> int:
        matching = (bits for pattern, bits in self.weight_overrides.items() if fnmatchcase(name, pattern))
        return next(matching, self.weight_bits)


# W8A16.
DEFAULT_SCHEME = QuantizationScheme()


def scheme_label(encodings: Encodings, weights: Iterable[str]) -> str:
    """What people call the bit widths that a graph has: ``W8A16``, or ``W8A16, 12 weights at 4 bits``.

    The first two numbers are the most frequent ones.

    Args:
        encodings: of the graph.
        weights: names of those parameters that are weights.
    """
    of_weights = Counter(encodings.parameters[name].bits for name in weights) or Counter([DEFAULT_SCHEME.weight_bits])
    of_activations = Counter(each.bits for each in encodings.activations.values()) or Counter(
        [DEFAULT_SCHEME.activation_bits]
    )
    most, activation_bits = (max(bits, key=lambda width: (bits[width], width)) for bits in (of_weights, of_activations))
    others = "".join(
        f", {count:,} weight{'s' if count > 1 else ''} at {width} bits"
        for width, count in sorted(of_weights.items())
        if width != most
    )
    return f"W{most}A{activation_bits}{others}"
