"""What the tensors of a float graph may be: an activation, a weight, a bias, a value, an attribute of an op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import TensorProto


@dataclass(frozen=True)
class Layer:
    """A node with a constant weight.

    Attributes:
        input: the activation that goes in.
        weight: the constant weight.
        axis: the weight's axis of output channels.
        channels: how many there are.
        bias: the constant bias, or "".
    """

    input: str
    weight: str
    axis: int
    channels: int
    bias: str


@dataclass(frozen=True)
class TensorRoles:
    """What each tensor of a graph is.

    Attributes:
        constants: every constant, by name: initializers, what Constant nodes hold, and other names of these.
        floats: float activations, graph inputs included, in topological order.
        layers: nodes with a constant weight, by their output.
        weights: constants that are weights: the axis of their output channels.
        values: float constants that are data like an activation: tables, factors, norms' parameters.
        tables: of the values, those whose rows are looked up, and nothing else.
        gammas: of the values, those that a LayerNormalization multiplies by, with the beta that it adds.
        source: for a tensor that an op only moved, the tensor it was (an activation or a value).
        known: activations whose range is known without looking.
        softmax_outputs: outputs of Softmax.
        squares: activations that are another one times itself.
        affine_chains: activations that are one number that is fed, such as the time step, times and plus constants.
    """

    constants: Mapping[str, TensorProto]
    floats: tuple[str, ...]
    layers: Mapping[str, Layer]
    weights: Mapping[str, int]
    values: tuple[str, ...]
    tables: frozenset[str]
    gammas: Mapping[str, str]
    source: Mapping[str, str]
    known: Mapping[str, tuple[float, float]]
    softmax_outputs: frozenset[str]
    squares: frozenset[str]
    affine_chains: frozenset[str]

    def encoding_owner(self, name: str) -> str:
        """The tensor whose encoding this one has."""
        while name in self.source:
            name = self.source[name]
        return name
