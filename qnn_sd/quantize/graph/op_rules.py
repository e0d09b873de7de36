"""Which encoding each op's tensors get: the knowledge about the HTP, in one place."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

# Ops that move numbers without changing them: output and input share one encoding, or the HTP
# would requantize for nothing.
DATA_MOVEMENT_OPS = frozenset(
    {
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "Resize",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
# Ops whose second input, if constant, is a weight: signed and symmetric, one scale per output channel.
WEIGHTED_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Outputs whose range is known without looking.
KNOWN_RANGES: Mapping[str, tuple[float, float]] = {
    "Cos": (-1.0, 1.0),
    "Erf": (-1.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Tanh": (-1.0, 1.0),
}
# Ops whose outputs are 0 to 1 at most. Their range is measured all the same: the HTP (as emulated by
# QAIRT 2.51) rounds them down to a step of their encoding, half a step too low on average, so that with steps of
# 1/65535 the outputs for 4096 keys that count alike add up to 0.97.
SOFTMAX_OPS = frozenset({"Softmax"})
# Ops that, with constants, make a multiple of a number plus something: the largest time step gives the largest angle,
# and every run begins with it. Their ranges get no margin: half a step of a range of 2000 is much of a sine's period.
AFFINE_OPS = frozenset({"Add", "Cast", "Mul", "Neg", "Sub"})
# Ops whose output is never negative, whatever comes in.
NON_NEGATIVE_OPS = frozenset({"Abs", "Exp", "Relu", "Softmax", "Sqrt"})
# Ops whose output is never negative where no input is.
SIGN_PRESERVING_OPS = (
    DATA_MOVEMENT_OPS
    | WEIGHTED_OPS
    | {"Add", "Concat", "Div", "Max", "Min", "Mul", "Pow", "Reciprocal"}
    | {"AveragePool", "GlobalAveragePool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"}
)
# Float constants that are no data but say what an op does: they stay float. An input of Range that
# were rounded could change how long its output is.
ATTRIBUTE_INPUTS: Mapping[str, frozenset[int]] = {
    "Clip": frozenset({1, 2}),
    "Pad": frozenset({2}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2}),
}
KNOWN_OPS = (
    DATA_MOVEMENT_OPS
    | WEIGHTED_OPS
    | KNOWN_RANGES.keys()
    | SOFTMAX_OPS
    | NON_NEGATIVE_OPS
    | ATTRIBUTE_INPUTS.keys()
    | {"Add", "Sub", "Mul", "Div", "Pow", "Neg", "Reciprocal", "Max", "Min", "Where", "Concat", "Cast"}
    | {"AveragePool", "GlobalAveragePool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"}
    | {"Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Softplus"}
    | {"GroupNormalization", "InstanceNormalization", "LayerNormalization"}
    | {"ConstantOfShape"}
)


def weight_axis(node: onnx.NodeProto, rank: int) -> int:
    """The output channels' axis of a weighted node's weight.

    Args:
        node: a node of one of the ops in ``WEIGHTED_OPS``.
        rank: the weight's number of axes.
    """
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return 0 if transposed else 1
    return rank - 1
