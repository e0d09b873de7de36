"""Layers as PyTorch's exporter writes them, with random weights, and a count of the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qnn_sd.export.blocks.basic import add, concat, matmul, mul, reshape, transpose
from qnn_sd.export.checkpoint import Array
from qnn_sd.export.graph import Graph, Value

# What torchvision's classifiers take from an image in 0 to 1, and divide by.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Layers:
    """Writes a net's layers into a graph.

    Args:
        g: the graph.
    """

    def __init__(self, g: Graph) -> None:
        self.g = g
        self._rng = np.random.default_rng(0)
        # As the framework counts: a BatchNorm, of which the graph has one bias, has two numbers a channel.
        self.parameters = 0

    def random(self, *shape: int) -> Array:
        """Weights that keep the activations' variance, counted."""
        self.parameters += math.prod(shape)
        fan_in = max(1, math.prod(shape[1:]))
        return self._rng.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)

    def image(self, height: int, width: int, normalized: bool = True) -> Value:
        """The input, [1, 3, H, W] in 0 to 1, with AI Hub Models' normalization inside the graph."""
        g = self.g
        x = g.input("image", (1, 3, height, width))
        if not normalized:
            return x
        mean, deviation = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
        centred = g.node("Sub", [x, g.constant("image.mean", mean)], x.shape, "image.centred")
        return g.node("Div", [centred, g.constant("image.deviation", deviation)], x.shape, "image.normalized")

    def conv(
        self,
        name: str,
        x: Value,
        out: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        pad: int | tuple[int, int] | None = None,
        groups: int = 1,
        bias: bool = True,
        norm: bool = False,
    ) -> Value:
        """Convolution of [1, C, H, W].

        Args:
            name: of the layer.
            x: its input.
            out: channels that it makes.
            kernel: its height and width.
            stride: down and across.
            pad: at top and bottom, left and right; None keeps the size at stride 1.
            groups: of channels.
            bias: whether it has one.
            norm: a BatchNorm follows, which is in its weight and bias.
        """
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        stride = (stride, stride) if isinstance(stride, int) else stride
        pad = (kernel[0] // 2, kernel[1] // 2) if pad is None else (pad, pad) if isinstance(pad, int) else pad
        weight = self.random(out, x.shape[1] // groups, *kernel)
        inputs = [x, self.g.constant(f"{name}.weight", weight)]
        if bias or norm:
            inputs.append(self.g.constant(f"{name}.bias", self.random(out) * np.float32(0.1)))
        if norm:
            self.parameters += out * (2 if bias else 1)
        size = [
            (length + 2 * beside - across) // step + 1
            for length, beside, across, step in zip(x.shape[2:], pad, kernel, stride, strict=True)
        ]
        return self.g.node(
            "Conv",
            inputs,
            (1, out, *size),
            name,
            kernel_shape=list(kernel),
            strides=list(stride),
            pads=[*pad, *pad],
            group=groups,
        )

    def conv_transpose(
        self, name: str, x: Value, out: int, kernel: tuple[int, int], stride: tuple[int, int], norm: bool = False
    ) -> Value:
        """Transposed convolution with bias that makes ``stride`` times the size; of a BatchNorm as ``conv``."""
        constants = [
            self.g.constant(f"{name}.weight", self.random(x.shape[1], out, *kernel)),
            self.g.constant(f"{name}.bias", self.random(out)),
        ]
        if norm:
            self.parameters += 2 * out
        pads = [(across - step) // 2 for across, step in zip(kernel, stride, strict=True)] * 2
        shape = (1, out, stride[0] * x.shape[2], stride[1] * x.shape[3])
        settings = {"kernel_shape": list(kernel), "strides": list(stride), "pads": pads}
        return self.g.node("ConvTranspose", [x, *constants], shape, name, **settings)

    def linear(self, name: str, x: Value, out: int, bias: bool = True) -> Value:
        """Linear layer on the last axis: a Gemm on a row, else a product and a sum."""
        width = x.shape[-1]
        if len(x.shape) == 2:
            weight = self.g.constant(f"{name}.weight", self.random(out, width))
            inputs = [x, weight, *([self.g.constant(f"{name}.bias", self.random(out))] if bias else [])]
            return self.g.node("Gemm", inputs, (x.shape[0], out), name, transB=1)
        product = self.product(name, x, np.ascontiguousarray(self.random(out, width).T))
        return self.biased(name, product) if bias else product

    def product(self, name: str, x: Value, weight: Array) -> Value:
        """Tokens times a constant [K, N]."""
        shape = (*x.shape[:-1], weight.shape[1])
        return self.g.node("MatMul", [x, self.g.constant(f"{name}.weight", weight)], shape, name)

    def biased(self, name: str, x: Value) -> Value:
        """Plus a constant for each feature."""
        return add(self.g, x, self.g.constant(f"{name}.bias", self.random(x.shape[-1])), f"{name}.biased")

    def layer_norm(self, name: str, x: Value, epsilon: float = 1e-6) -> Value:
        """LayerNorm of the last axis."""
        width = x.shape[-1]
        parameters = [
            self.g.constant(f"{name}.weight", 1 + np.float32(0.1) * self.random(width)),
            self.g.constant(f"{name}.bias", self.random(width)),
        ]
        return self.g.node("LayerNormalization", [x, *parameters], x.shape, name, axis=-1, epsilon=epsilon)

    def channel_norm(self, name: str, x: Value, epsilon: float = 1e-6) -> Value:
        """LayerNorm of the channels of [1, C, H, W], by way of [1, H, W, C]."""
        normed = self.layer_norm(name, transpose(self.g, x, (0, 2, 3, 1)), epsilon)
        return transpose(self.g, normed, (0, 3, 1, 2))

    def scaled(self, name: str, x: Value, shape: Sequence[int]) -> Value:
        """Times a learned factor of a shape that broadcasts."""
        return mul(self.g, x, self.g.constant(f"{name}.weight", 1 + np.float32(0.1) * self.random(*shape)), name)

    def batch_norm(self, name: str, x: Value) -> Value:
        """A BatchNorm that no convolution stands before: a factor and a sum for each channel.

        The quantizer has no rule for BatchNormalization. QNN's Batchnorm is a factor and a sum as well.
        """
        channels = x.shape[1]
        factor = self.scaled(f"{name}.scaled", x, (1, channels, 1, 1))
        bias = self.g.constant(f"{name}.bias", self.random(1, channels, 1, 1))
        return add(self.g, factor, bias, name)

    def relu(self, x: Value) -> Value:
        """max(x, 0)."""
        return self.g.node("Relu", [x], x.shape)

    def relu6(self, x: Value) -> Value:
        """x cut off below 0 and above 6."""
        bounds = [self.g.constant(f"clip.{name}", np.array(at, np.float32)) for name, at in (("low", 0), ("high", 6))]
        return self.g.node("Clip", [x, *bounds], x.shape)

    def gelu(self, x: Value) -> Value:
        """Gelu as one op: the HTP doesn't take it spelled out with Erf."""
        return self.g.node("Gelu", [x], x.shape)

    def pool(self, op: str, x: Value, kernel: int, stride: int, pad: int = 0) -> Value:
        """MaxPool or AveragePool."""
        size = [(length + 2 * pad - kernel) // stride + 1 for length in x.shape[2:]]
        shape = (*x.shape[:2], *size)
        return self.g.node(op, [x], shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def mean_of_pixels(self, x: Value) -> Value:
        """[1, C, H, W] as [1, C, 1, 1]."""
        return self.g.node("GlobalAveragePool", [x], (*x.shape[:2], 1, 1))

    def depth_to_space(self, x: Value, factor: int) -> Value:
        """PixelShuffle."""
        _, channels, height, width = x.shape
        shape = (1, channels // factor**2, factor * height, factor * width)
        return self.g.node("DepthToSpace", [x], shape, blocksize=factor, mode="CRD")

    def resize(self, x: Value, height: int, width: int) -> Value:
        """Bilinear, with the corners aligned."""
        sizes = self.g.constant("sizes", np.array([*x.shape[:2], height, width], np.int64))
        return self.g.node(
            "Resize",
            [x, None, None, sizes],
            (*x.shape[:2], height, width),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        )

    def cut(self, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """Some of an axis."""
        shape = list(x.shape)
        shape[axis] = len(range(start, stop, step))
        settings = [self.g.constant("cut", np.array([value], np.int64)) for value in (start, stop, axis, step)]
        return self.g.node("Slice", [x, *settings], shape)

    def rolled(self, x: Value, axis: int, by: int) -> Value:
        """Shifted in a circle, backwards where ``by`` is negative."""
        length = x.shape[axis]
        at = -by % length
        return concat(self.g, [self.cut(x, axis, at, length), self.cut(x, axis, 0, at)], axis)

    def split(self, x: Value, count: int) -> list[Value]:
        """Equal parts of the last axis."""
        width = x.shape[-1] // count
        return [self.cut(x, len(x.shape) - 1, part * width, (part + 1) * width) for part in range(count)]

    def attend(self, q: Value, k: Value, v: Value, heads: int, bias: Sequence[Value] = ()) -> Value:
        """Scaled dot-product attention of [B, N, C], all heads in one product of rank 4.

        Args:
            q: queries.
            k: keys.
            v: values.
            heads: number of heads.
            bias: added to the scores [B, heads, N, M], one after the other.
        """
        g, (batch, tokens, width) = self.g, q.shape
        size = width // heads

        def split(x: Value, order: tuple[int, ...]) -> Value:
            return transpose(g, reshape(g, x, (x.shape[0], x.shape[1], heads, size)), order)

        q, k, v = split(q, (0, 2, 1, 3)), split(k, (0, 2, 3, 1)), split(v, (0, 2, 1, 3))
        q = mul(g, q, g.constant("scale", np.array([size**-0.5], np.float32)))
        scores = matmul(g, q, k, "scores")
        for each in bias:
            flat = (1, batch, heads, tokens**2)
            # A bias of rank 4 with one number for all heads is the mask of windows, added to flat scores.
            if each.shape[1] == batch and each.shape[2] == 1:
                scores = reshape(g, add(g, reshape(g, scores, flat), each), (batch, heads, tokens, tokens))
            else:
                scores = add(g, scores, each)
        softmax_outputs = g.node("Softmax", [scores], scores.shape, axis=-1)
        seen = transpose(g, matmul(g, softmax_outputs, v, "seen"), (0, 2, 1, 3))
        return reshape(g, seen, (batch, tokens, width))
