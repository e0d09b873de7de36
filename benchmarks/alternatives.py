"""Forms that were tried and lost (docs/htp-forms.md), each as one function of the exporter or quantizer replaced.

All compute the same in float; what they cost and how faithful they are is ``benchmarks/htp_forms.py``'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from qnn_sd.export.blocks import attention, norm, resnet, transformer
from qnn_sd.export.blocks.attention import CENTRED_ABOVE, AttentionWeights
from qnn_sd.export.blocks.basic import add, concat, conv_of, mul, reshape, transpose
from qnn_sd.export.blocks.linear import Weights, linear, pointwise
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value
from qnn_sd.quantize.encodings import attention_operands, from_ranges
from qnn_sd.quantize.encodings.encoding import Encoding, asymmetric
from qnn_sd.quantize.graph import FloatGraph


def _tokens(g: Graph, x: Value) -> Value:
    _, channels, height, width = x.shape
    return transpose(g, reshape(g, x, (1, channels, height * width)), (0, 2, 1))


def _image(g: Graph, x: Value, like: Value) -> Value:
    return reshape(g, transpose(g, x, (0, 2, 1)), like.shape)


def attention_of_tokens(g: Graph, prefix: str, weights: AttentionWeights, heads: int, x: Value) -> Value:
    """Self-attention with the pixels in one row, [1, N, C], and products with constant matrices."""
    mean, centred = None, x
    with g.scope(prefix):
        if x.shape[2] * x.shape[3] > CENTRED_ABOVE:
            mean = g.node("GlobalAveragePool", [x], (1, x.shape[1], 1, 1), "mean")
            centred = g.node("Sub", [x, mean], x.shape, "centred")
        asking, asked = _tokens(g, x), _tokens(g, centred)
    seen = []
    for head, part in enumerate(weights.heads(heads)):
        with g.scope(f"{prefix}.head{head}"):
            q = linear(g, "q", asking, part.query)
            k, v = (linear(g, name, asked, of) for name, of in (("k", part.key), ("v", part.value)))
            seen.append(attention._head(g, q, k, v))
    with g.scope(prefix):
        projected = pointwise(g, "to_out", _image(g, concat(g, seen, 2), x), weights.out)
        if mean is None:
            return projected
        shift = pointwise(g, "mean_out", mean, Weights(weights.out.weight @ weights.value.weight))
        return add(g, projected, shift, "with_mean")


def norm_by_convs(g: Graph, name: str, x: Value, epsilon: float) -> Value:
    """LayerNorm over channels spelled out, its means by 1x1 convs to one channel (weights of 1 / C: exact in int8)."""
    share = Weights(np.full((1, x.shape[1]), 1 / x.shape[1], np.float32))
    return _spelled_out(g, name, x, epsilon, lambda of, called: pointwise(g, called, of, share))


def norm_by_reduce_mean(g: Graph, name: str, x: Value, epsilon: float) -> Value:
    """The same with means by ReduceMean (QAIRT 2.50 computes them wrongly over more than 128 channels)."""

    def mean(of: Value, called: str) -> Value:
        axis = g.constant(f"{called}.axis", np.array([1]))
        return g.node("ReduceMean", [of, axis], (1, 1, *x.shape[2:]), called, keepdims=1)

    return _spelled_out(g, name, x, epsilon, mean)


def _spelled_out(g: Graph, name: str, x: Value, epsilon: float, mean: Callable[[Value, str], Value]) -> Value:
    one, raised = (np.full((1, 1, 1, 1), value, np.float32) for value in (1, epsilon))
    with g.scope(name):
        centred = g.node("Sub", [x, mean(x, "mean")], x.shape, "centred")
        variance = mean(mul(g, centred, centred, "squared"), "variance")
        deviation = g.node("Sqrt", [add(g, variance, g.constant("epsilon", raised))], variance.shape)
        return mul(g, centred, g.node("Div", [g.constant("one", one), deviation], variance.shape), "normed")


def sixteen_bits(graph: FloatGraph, name: str) -> Encoding:
    """Constants as they were encoded before: a LayerNormalization whose gamma has 16 bits runs in float on the HTP."""
    values = graph.array(name)
    return asymmetric(float(values.min()), float(values.max()))


def upsample_by_resize(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """Nearest neighbour, then a 3x3 conv."""
    _, channels, height, width = x.shape
    scales = g.constant("scales", np.array([1, 1, 2, 2], np.float32))
    modes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    larger = g.node("Resize", [x, None, scales], (1, channels, 2 * height, 2 * width), **modes)
    kernel = weights.get(f"{prefix}.conv.weight", (channels, channels, 3, 3))
    return conv_of(g, f"{prefix}.conv", larger, kernel, weights.get(f"{prefix}.conv.bias", (channels,)))


def upsample_by_one_conv(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """One 3x3 conv at the lower resolution that makes all four phases' channels."""
    _, channels, height, width = x.shape
    kernel = weights.get(f"{prefix}.conv.weight", (channels, channels, 3, 3))
    rows = np.array([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], np.float32)
    phases = np.einsum("aik,ockl,bjl->abocij", rows, kernel, rows, optimize=True)
    bias = np.tile(weights.get(f"{prefix}.conv.bias", (channels,)), 4)
    pixels = conv_of(g, f"{prefix}.conv", x, phases.reshape(4 * channels, channels, 3, 3), bias)
    return g.node("DepthToSpace", [pixels], (1, channels, 2 * height, 2 * width), blocksize=2, mode="DCR")


def upsample_by_transposed_conv(g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
    """One transposed conv of 4x4."""
    _, channels, height, width = x.shape
    kernel = weights.get(f"{prefix}.conv.weight", (channels, channels, 3, 3))
    taps = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
    spread = np.einsum("tk,ockl,ul->cotu", taps, kernel, taps, optimize=True)
    constants = [
        g.constant(f"{prefix}.weight", np.ascontiguousarray(spread)),
        g.constant(f"{prefix}.bias", weights.get(f"{prefix}.conv.bias", (channels,))),
    ]
    sizes = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return g.node("ConvTranspose", [x, *constants], (1, channels, 2 * height, 2 * width), **sizes)


def group_norm_by_groups(g: Graph, name: str, x: Value, *args: Any, **kwargs: Any) -> Value:
    """GroupNorm whose variance adds up a group's channels at each pixel, and then the pixels."""
    pointwise_, means = norm.pointwise, norm._channel_means
    share: list[Weights] = []

    def earlier(g: Graph, name: str, x: Value, weights: Weights) -> Value:
        if name == "mean":
            share.append(weights)
        return x if name == "variance" else pointwise_(g, name, x, weights)

    def pooled(g: Graph, of: Value) -> Value:
        return means(g, pointwise_(g, "variance", of, share[0]) if share else of)

    with mock.patch.object(norm, "pointwise", earlier), mock.patch.object(norm, "_channel_means", pooled):
        return norm.group_norm(g, name, x, *args, **kwargs)


Change = tuple[Any, str, Any]
NOTHING: tuple[Change, ...] = ()
INT16: tuple[Change, ...] = ((attention_operands, "int8_candidates", lambda _graph: ()),)
TRANSFORMERS: dict[str, tuple[Change, ...]] = {
    "the form that users get": NOTHING,
    "keys and values int16": INT16,
    "pixels in one row, by MatMul": ((transformer, "self_attention", attention_of_tokens),),
    "the same, int16": ((transformer, "self_attention", attention_of_tokens), *INT16),
    "values not centred": ((attention, "CENTRED_ABOVE", 10**9),),
    "LayerNormalization in float": ((from_ranges, "choose_value", sixteen_bits),),
    "LayerNorm spelled out, convs": ((transformer, "channel_norm", norm_by_convs),),
    "LayerNorm spelled out, ReduceMean": ((transformer, "channel_norm", norm_by_reduce_mean),),
}
RESNETS: dict[str, tuple[Change, ...]] = {
    "the form that users get": NOTHING,
    "squares by group before pixels": ((resnet, "group_norm", group_norm_by_groups),),
}
UPSAMPLERS: dict[str, Callable[[Graph, TensorSource, str, Value], Value]] = {
    "four 2x2 convs": resnet.upsample,
    "nearest neighbour, 3x3 conv": upsample_by_resize,
    "one 3x3 conv": upsample_by_one_conv,
    "transposed 4x4 conv": upsample_by_transposed_conv,
}


@contextmanager
def replaced(changes: tuple[Change, ...]) -> Iterator[None]:
    """Within it the exporter and the quantizer have the replacements."""
    if not changes:
        yield
        return
    with mock.patch.object(*changes[0]), replaced(changes[1:]):
        yield
