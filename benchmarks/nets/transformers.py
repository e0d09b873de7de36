"""Vision transformers and Whisper's encoder."""

from __future__ import annotations

import numpy as np

from nets.layers import Layers
from qnn_sd.export.blocks.basic import add, concat, matmul, reshape, transpose
from qnn_sd.export.checkpoint import Array
from qnn_sd.export.graph import Value

_CLASSES = 1000


def patches(net: Layers, x: Value, size: int, width: int) -> Value:
    """Tokens of an image's patches behind the class token, with their positions."""
    made = net.conv("patches", x, width, size, size, 0)
    tokens = transpose(net.g, reshape(net.g, made, (1, width, made.shape[2] * made.shape[3])), (0, 2, 1))
    tokens = concat(net.g, [net.g.constant("class_token", net.random(1, 1, width)), tokens], 1)
    return add(net.g, tokens, net.g.constant("positions", net.random(*tokens.shape)), "embedded")


def vit_b_16(net: Layers) -> None:
    """torchvision's ViT-B/16 (Dosovitskiy et al. 2021).

    Queries, keys and values come out of one product. Its three parts are cut out of the last axis here; the exporter
    puts a new axis in front first.
    """
    g, width, heads = net.g, 768, 12
    x = patches(net, net.image(224, 224), 16, width)
    for number in range(12):
        name = f"layer{number}"
        q, k, v = net.split(net.linear(f"{name}.qkv", net.layer_norm(f"{name}.norm1", x), 3 * width), 3)
        with g.scope(name):
            seen = net.attend(q, k, v, heads)
        x = add(g, net.linear(f"{name}.out", seen, width), x, f"{name}.attended")
        hidden = net.gelu(net.linear(f"{name}.fc1", net.layer_norm(f"{name}.norm2", x), 4 * width))
        x = add(g, x, net.linear(f"{name}.fc2", hidden, width), f"{name}.sum")
    first = net.cut(net.layer_norm("norm", x), 1, 0, 1)
    g.output(net.linear("classifier", reshape(g, first, (1, width)), _CLASSES), "logits")


class _Swin:
    """Swin (Liu et al. 2021) as AI Hub Models adapts torchvision's: rank 4 at most, no linear layer above 512."""

    _WINDOW = 7
    _WIDEST = 512

    def __init__(self, net: Layers) -> None:
        self._net, self._g = net, net.g

    def build(self, width: int, blocks: tuple[int, ...], heads: tuple[int, ...]) -> None:
        """Writes the whole net."""
        net, g = self._net, self._g
        x = transpose(g, net.conv("patches", net.image(224, 224), width, 4, 4, 0), (0, 2, 3, 1))
        x = net.layer_norm("patches.norm", x, 1e-5)
        for stage, (count, of) in enumerate(zip(blocks, heads, strict=True)):
            if stage:
                x = self._merged(f"merge{stage}", x)
            for block in range(count):
                shift = self._WINDOW // 2 if block % 2 and x.shape[1] > self._WINDOW else 0
                x = self._block(f"stage{stage}.block{block}", x, of, shift)
        image = transpose(g, net.layer_norm("norm", x, 1e-5), (0, 3, 1, 2))
        row = reshape(g, net.mean_of_pixels(image), (1, x.shape[3]))
        g.output(net.linear("classifier", row, _CLASSES), "logits")

    def _merged(self, name: str, x: Value) -> Value:
        net, (_, height, width, channels) = self._net, x.shape
        corners = [
            net.cut(net.cut(x, 1, row, height, 2), 2, column, width, 2)
            for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))
        ]
        normed = net.layer_norm(f"{name}.norm", concat(self._g, corners, 3), 1e-5)
        return self._linear(name, normed, 2 * channels, bias=False)

    def _linear(self, name: str, x: Value, out: int, bias: bool = True) -> Value:
        """A linear layer in parts of at most 512 inputs and 512 outputs."""
        net, width = self._net, x.shape[-1]
        if max(width, out) <= self._WIDEST:
            return net.linear(name, x, out, bias)
        columns, rows = -(-width // self._WIDEST), -(-out // self._WIDEST)
        inputs = net.split(x, columns) if columns > 1 else [x]
        made = []
        for row in range(rows):
            # Weights of their own for each part: which numbers they are doesn't matter here.
            products = [
                net.product(
                    f"{name}.part{row}.{column}",
                    part,
                    np.ascontiguousarray(net.random(out // rows, width // columns).T),
                )
                for column, part in enumerate(inputs)
            ]
            total = products[0]
            for product in products[1:]:
                total = add(self._g, total, product)
            made.append(net.biased(f"{name}.part{row}", total) if bias else total)
        return concat(self._g, made, len(x.shape) - 1)

    def _block(self, name: str, x: Value, heads: int, shift: int) -> Value:
        net, g, width = self._net, self._g, x.shape[-1]
        x = add(g, x, self._attended(name, net.layer_norm(f"{name}.norm1", x, 1e-5), heads, shift), f"{name}.attended")
        hidden = net.gelu(net.linear(f"{name}.fc1", net.layer_norm(f"{name}.norm2", x, 1e-5), 4 * width))
        return add(g, x, net.linear(f"{name}.fc2", hidden, width), f"{name}.sum")

    def _attended(self, name: str, x: Value, heads: int, shift: int) -> Value:
        net, g, side = self._net, self._g, self._WINDOW
        _, height, width, channels = x.shape
        down, across = height // side, width // side
        if shift:
            x = net.rolled(net.rolled(x, 1, -shift), 2, -shift)
        windows = transpose(g, reshape(g, x, (down, side, across, side * channels)), (0, 2, 1, 3))
        windows = reshape(g, windows, (down * across, side * side, channels))
        q, k, v = (self._linear(f"{name}.{part}", windows, channels) for part in "qkv")
        net.parameters += heads * (2 * side - 1) ** 2
        bias = [g.constant(f"{name}.position", _uncounted(1, heads, side**2, side**2))]
        if shift:
            mask = np.where(_uncounted(1, down * across, 1, side**4) > 0, 0, -100).astype(np.float32)
            bias.append(g.constant(f"{name}.mask", mask))
        with g.scope(name):
            seen = net.attend(q, k, v, heads, bias)
        out = net.linear(f"{name}.out", seen, channels)
        out = transpose(g, reshape(g, out, (down, across, side, side * channels)), (0, 2, 1, 3))
        out = reshape(g, out, (1, height, width, channels))
        return net.rolled(net.rolled(out, 1, shift), 2, shift) if shift else out


def _uncounted(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def swin_tiny(net: Layers) -> None:
    """Swin-Tiny."""
    _Swin(net).build(96, (2, 2, 6, 2), (3, 6, 12, 24))


def whisper_small_encoder(net: Layers) -> None:
    """Whisper-Small's encoder (Radford et al. 2022) as AI Hub Models adapts it.

    Linear layers are 1x1 convolutions and each head has its own, as in Stable Diffusion's networks there. It makes the
    keys and values of the decoder's cross-attention, too.
    """
    g, width, heads, layers, frames = net.g, 768, 12, 12, 3000
    size = width // heads
    mel = g.input("mel", (1, 80, 1, frames))
    x = net.gelu(net.conv("conv1", mel, width, (1, 3)))
    # At a height of 1 the stride says nothing of the rows.
    x = transpose(g, net.gelu(net.conv("conv2", x, width, (1, 3), 2)), (0, 2, 3, 1))
    x = add(g, x, g.constant("positions", net.random(frames // 2, width)), "embedded")
    for number in range(layers):
        name = f"layer{number}"
        normed = transpose(g, net.layer_norm(f"{name}.norm1", x, 1e-5), (0, 3, 1, 2))
        seen = []
        for head in range(heads):
            with g.scope(f"{name}.head{head}"):
                q = transpose(g, net.conv("q", normed, size, 1), (0, 2, 3, 1))
                k = transpose(g, net.conv("k", normed, size, 1, bias=False), (0, 2, 1, 3))
                v = transpose(g, net.conv("v", normed, size, 1), (0, 2, 3, 1))
                scores = matmul(g, q, k, "scores")
                seen.append(matmul(g, g.node("Softmax", [scores], scores.shape, axis=-1), v, "seen"))
        out = net.conv(f"{name}.out", transpose(g, concat(g, seen, 3), (0, 3, 1, 2)), width, 1)
        x = add(g, x, transpose(g, out, (0, 2, 3, 1)), f"{name}.attended")
        normed = transpose(g, net.layer_norm(f"{name}.norm2", x, 1e-5), (0, 3, 1, 2))
        hidden = net.conv(f"{name}.fc2", net.gelu(net.conv(f"{name}.fc1", normed, 4 * width, 1)), width, 1)
        x = add(g, x, transpose(g, hidden, (0, 2, 3, 1)), f"{name}.sum")
    x = transpose(g, net.layer_norm("norm", x, 1e-5), (0, 3, 1, 2))
    for number in range(layers):
        with g.scope(f"cross{number}"):
            keys = [transpose(g, net.conv("k", x, size, 1, bias=False), (0, 2, 1, 3)) for _ in range(heads)]
            values = [transpose(g, net.conv("v", x, size, 1), (0, 2, 3, 1)) for _ in range(heads)]
            outputs = {"k": concat(g, keys, 0), "v": concat(g, values, 0)}
        for kind, value in outputs.items():
            g.output(value, f"{kind}_cross_{number}")
