"""Nets that make images: super-resolution, denoising, depth, segmentation."""

from __future__ import annotations

from nets.layers import Layers
from nets.transformers import patches
from qnn_sd.export.blocks.basic import add, mul, reshape, transpose
from qnn_sd.export.graph import Value


def srgan(net: Layers) -> None:
    """SRGAN's generator (Ledig et al. 2017), 128x128 to 512x512."""
    g, width = net.g, 64

    def prelu(x: Value) -> Value:
        # A PReLU with one slope, which is the default, is a LeakyRelu.
        net.parameters += 1
        return g.node("LeakyRelu", [x], x.shape, alpha=0.25)

    first = x = prelu(net.conv("first", net.image(128, 128, normalized=False), width, 9))
    for number in range(16):
        name = f"block{number}"
        hidden = prelu(net.conv(f"{name}.conv1", x, width, bias=False, norm=True))
        x = add(g, net.conv(f"{name}.conv2", hidden, width, bias=False, norm=True), x, f"{name}.sum")
    x = add(g, net.conv("middle", x, width, bias=False, norm=True), first, "middle.sum")
    for number in range(2):
        x = prelu(net.depth_to_space(net.conv(f"up{number}", x, 4 * width), 2))
    # Its clamp to 0 to 1 is what the output's encoding does.
    g.output(net.conv("last", x, 3, 9), "image")


class _NafNet:
    """NAFNet (Chen et al. 2022)."""

    def __init__(self, net: Layers) -> None:
        self._net, self._g = net, net.g

    def build(self, size: tuple[int, int], encoders: tuple[int, ...], middle: int, decoders: tuple[int, ...]) -> None:
        """Writes the whole net, 64 channels wide at the top."""
        net, g = self._net, self._g
        image = net.image(*size, normalized=False)
        x, skips = net.conv("intro", image, 64), []
        for level, count in enumerate(encoders):
            x = self._blocks(f"encoder{level}", x, count)
            skips.append(x)
            x = net.conv(f"down{level}", x, 2 * x.shape[1], 2, 2, 0)
        x = self._blocks("middle", x, middle)
        for level, (count, skip) in enumerate(zip(decoders, reversed(skips), strict=True)):
            x = net.depth_to_space(net.conv(f"up{level}", x, 2 * x.shape[1], 1, bias=False), 2)
            x = self._blocks(f"decoder{level}", add(g, x, skip, f"skip{level}"), count)
        g.output(add(g, net.conv("ending", x, 3), image, "sum"), "restored")

    def _blocks(self, prefix: str, x: Value, count: int) -> Value:
        net, g, width = self._net, self._g, x.shape[1]
        for number in range(count):
            name = f"{prefix}.block{number}"
            hidden = net.conv(f"{name}.conv1", net.channel_norm(f"{name}.norm1", x), 2 * width, 1)
            gated = self._gated(net.conv(f"{name}.conv2", hidden, 2 * width, groups=2 * width))
            attention = net.conv(f"{name}.attention", net.mean_of_pixels(gated), width, 1)
            out = net.conv(f"{name}.conv3", mul(g, gated, attention, f"{name}.attended"), width, 1)
            x = add(g, x, net.scaled(f"{name}.beta", out, (1, width, 1, 1)), f"{name}.sum1")
            hidden = self._gated(net.conv(f"{name}.conv4", net.channel_norm(f"{name}.norm2", x), 2 * width, 1))
            out = net.conv(f"{name}.conv5", hidden, width, 1)
            x = add(g, x, net.scaled(f"{name}.gamma", out, (1, width, 1, 1)), f"{name}.sum2")
        return x

    def _gated(self, x: Value) -> Value:
        half = x.shape[1] // 2
        return mul(self._g, self._net.cut(x, 1, 0, half), self._net.cut(x, 1, half, 2 * half))


def nafnet_denoise(net: Layers) -> None:
    """NAFNet of the SIDD data set, 256x256."""
    _NafNet(net).build((256, 256), (2, 2, 4, 8), 12, (2, 2, 2, 2))


class _Depth:
    """Depth Anything V2, Small (Yang et al. 2024): DINOv2 with a DPT head."""

    _WIDTH, _HEADS, _LAYERS, _SIDE = 384, 6, 12, 37
    _LEVELS = (48, 96, 192, 384)
    _FUSED = 64

    def __init__(self, net: Layers) -> None:
        self._net, self._g = net, net.g

    def build(self) -> None:
        """Writes the whole net."""
        net, g, image = self._net, self._g, 14 * self._SIDE
        levels = self._levels(self._features(image))
        x: Value | None = None
        for number, level in enumerate(reversed(levels)):
            name = f"fusion{number}"
            x = level if x is None else add(g, x, self._residual(f"{name}.first", level), f"{name}.sum")
            x = self._residual(f"{name}.second", x)
            following = levels[-number - 2] if number + 1 < len(levels) else None
            size = following.shape[2:] if following else (2 * x.shape[2], 2 * x.shape[3])
            x = net.conv(f"{name}.project", net.resize(x, *size), self._FUSED, 1)
        assert x is not None
        x = net.resize(net.conv("head.conv1", x, self._FUSED // 2), image, image)
        x = net.relu(net.conv("head.conv2", x, 32))
        g.output(net.relu(net.conv("head.conv3", x, 1, 1)), "depth")

    def _features(self, image: int) -> list[Value]:
        """The tokens of four layers, each normalized, without the class token."""
        net, g, width = self._net, self._g, self._WIDTH
        x, found = patches(net, net.image(image, image), 14, width), []
        for number in range(self._LAYERS):
            name = f"layer{number}"
            normed = net.layer_norm(f"{name}.norm1", x)
            q, k, v = (net.linear(f"{name}.{part}", normed, width) for part in "qkv")
            with g.scope(name):
                seen = net.attend(q, k, v, self._HEADS)
            out = net.scaled(f"{name}.scale1", net.linear(f"{name}.out", seen, width), (width,))
            x = add(g, out, x, f"{name}.attended")
            hidden = net.gelu(net.linear(f"{name}.fc1", net.layer_norm(f"{name}.norm2", x), 4 * width))
            x = add(
                g, net.scaled(f"{name}.scale2", net.linear(f"{name}.fc2", hidden, width), (width,)), x, f"{name}.sum"
            )
            if number % 3 == 2:
                found.append(x)
        # One LayerNorm for all four.
        before, results = net.parameters, []
        for number, feature in enumerate(found):
            net.parameters = before
            results.append(net.cut(net.layer_norm(f"feature{number}", feature), 1, 1, feature.shape[1]))
        return results

    def _image(self, feature: Value) -> Value:
        rows = transpose(self._net.g, feature, (0, 2, 1))
        return reshape(self._net.g, rows, (1, feature.shape[2], self._SIDE, self._SIDE))

    def _levels(self, features: list[Value]) -> list[Value]:
        """The features as images of four sizes, all of the head's width."""
        net, levels = self._net, []
        for number, (feature, width) in enumerate(zip(features, self._LEVELS, strict=True)):
            name = f"level{number}"
            x = net.conv(f"{name}.project", self._image(feature), width, 1)
            if number < 2:
                x = net.conv_transpose(f"{name}.up", x, width, (4 >> number,) * 2, (4 >> number,) * 2)
            elif number == 3:
                x = net.conv(f"{name}.down", x, width, 3, 2)
            levels.append(net.conv(f"{name}.conv", x, self._FUSED, bias=False))
        return levels

    def _residual(self, name: str, x: Value) -> Value:
        net = self._net
        hidden = net.conv(f"{name}.conv1", net.relu(x), self._FUSED)
        return add(self._g, net.conv(f"{name}.conv2", net.relu(hidden), self._FUSED), x, f"{name}.sum")


def depth_anything_v2(net: Layers) -> None:
    """Depth Anything V2, Small, 518x518."""
    _Depth(net).build()


def rangenet(net: Layers) -> None:
    """RangeNet++ (Milioto et al. 2019) on DarkNet-53: a U-Net of 64x2048 that halves the width alone."""
    g = net.g

    def leaky(x: Value) -> Value:
        return g.node("LeakyRelu", [x], x.shape, alpha=0.1)

    def block(name: str, x: Value, inner: int) -> Value:
        hidden = leaky(net.conv(f"{name}.conv1", x, inner, 1, bias=False, norm=True))
        return add(g, leaky(net.conv(f"{name}.conv2", hidden, x.shape[1], bias=False, norm=True)), x, f"{name}.sum")

    x = leaky(net.conv("first", g.input("range_image", (1, 5, 64, 2048)), 32, bias=False, norm=True))
    skips = []
    for level, count in enumerate((1, 2, 8, 8, 4)):
        skips.append(x)
        x = leaky(net.conv(f"down{level}", x, 2 * x.shape[1], 3, (1, 2), bias=False, norm=True))
        for number in range(count):
            x = block(f"down{level}.block{number}", x, x.shape[1] // 2)
    for level, skip in enumerate(reversed(skips)):
        out = x.shape[1] // 2
        up = leaky(net.conv_transpose(f"up{level}", x, out, (1, 4), (1, 2), norm=True))
        x = add(g, block(f"up{level}.block", up, x.shape[1]), skip, f"up{level}.skip")
    g.output(net.conv("head", x, 20), "logits")
