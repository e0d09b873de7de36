"""Activation functions by the names that diffusers and transformers give them."""

from __future__ import annotations

import numpy as np

from qnn_sd.export.blocks.basic import mul
from qnn_sd.export.graph import Graph, Value

UNET_ACTIVATIONS = ("silu", "swish", "gelu", "relu", "mish")
CLIP_ACTIVATIONS = ("quick_gelu", "gelu")


def activation(g: Graph, name: str, x: Value) -> Value:
    """The named activation of a tensor of any shape.

    SiLU is written as ``x * sigmoid(x)``, which the HTP fuses. Gelu is one op: spelled out with
    Erf the HTP doesn't take it.

    Raises:
        ValueError: a name that isn't in the lists above (the config reader refuses it before).
    """
    if name in ("silu", "swish"):
        return mul(g, x, g.node("Sigmoid", [x], x.shape), "silu")
    if name == "quick_gelu":
        scaled = mul(g, x, g.constant("alpha", np.array([1.702], np.float32)))
        return mul(g, x, g.node("Sigmoid", [scaled], x.shape), "quick_gelu")
    if name == "gelu":
        return g.node("Gelu", [x], x.shape)
    if name == "relu":
        return g.node("Relu", [x], x.shape)
    if name == "mish":
        return mul(g, x, g.node("Tanh", [g.node("Softplus", [x], x.shape)], x.shape), "mish")
    raise ValueError(f"unknown activation {name!r}")
