"""torchvision's convolutional classifiers."""

from __future__ import annotations

from nets.layers import Layers
from qnn_sd.export.blocks.basic import add, concat, mul, reshape, transpose
from qnn_sd.export.graph import Value

_CLASSES = 1000


def _classified(net: Layers, x: Value) -> None:
    """The mean of all pixels, and a linear layer."""
    row = reshape(net.g, net.mean_of_pixels(x), (1, x.shape[1]))
    net.g.output(net.linear("classifier", row, _CLASSES), "logits")


def mobilenet_v2(net: Layers) -> None:
    """MobileNet-v2 (Sandler et al. 2018), width 1."""
    x = net.relu6(net.conv("stem", net.image(224, 224), 32, 3, 2, bias=False, norm=True))
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for number, (expansion, out, blocks, first_stride) in enumerate(stages):
        for block in range(blocks):
            name, stride = f"stage{number}.block{block}", first_stride if block == 0 else 1
            hidden, inner = x, x.shape[1] * expansion
            if expansion > 1:
                hidden = net.relu6(net.conv(f"{name}.expand", hidden, inner, 1, bias=False, norm=True))
            depthwise = net.conv(f"{name}.depthwise", hidden, inner, 3, stride, groups=inner, bias=False, norm=True)
            projected = net.conv(f"{name}.project", net.relu6(depthwise), out, 1, bias=False, norm=True)
            x = add(net.g, x, projected, f"{name}.sum") if projected.shape == x.shape else projected
    _classified(net, net.relu6(net.conv("last", x, 1280, 1, bias=False, norm=True)))


def efficientnet_b4(net: Layers) -> None:
    """EfficientNet-B4 (Tan and Le 2019), 380x380."""
    g = net.g

    def silu(x: Value) -> Value:
        return mul(g, x, g.node("Sigmoid", [x], x.shape))

    x = silu(net.conv("stem", net.image(380, 380), 48, 3, 2, bias=False, norm=True))
    # Expansion, kernel, stride of the first block, channels, blocks.
    stages = (
        (1, 3, 1, 24, 2),
        (6, 3, 2, 32, 4),
        (6, 5, 2, 56, 4),
        (6, 3, 2, 112, 6),
        (6, 5, 1, 160, 6),
        (6, 5, 2, 272, 8),
        (6, 3, 1, 448, 2),
    )
    for number, (expansion, kernel, first_stride, out, blocks) in enumerate(stages):
        for block in range(blocks):
            name, stride = f"stage{number}.block{block}", first_stride if block == 0 else 1
            hidden, inner = x, x.shape[1] * expansion
            if expansion > 1:
                hidden = silu(net.conv(f"{name}.expand", hidden, inner, 1, bias=False, norm=True))
            depthwise = net.conv(
                f"{name}.depthwise", hidden, inner, kernel, stride, groups=inner, bias=False, norm=True
            )
            hidden = silu(depthwise)
            squeezed = silu(net.conv(f"{name}.squeeze", net.mean_of_pixels(hidden), x.shape[1] // 4, 1))
            excited = net.conv(f"{name}.excite", squeezed, inner, 1)
            hidden = mul(g, hidden, g.node("Sigmoid", [excited], excited.shape), f"{name}.excited")
            projected = net.conv(f"{name}.project", hidden, out, 1, bias=False, norm=True)
            x = add(g, x, projected, f"{name}.sum") if projected.shape == x.shape else projected
    _classified(net, silu(net.conv("last", x, 1792, 1, bias=False, norm=True)))


def densenet121(net: Layers) -> None:
    """DenseNet-121 (Huang et al. 2017)."""
    growth, blocks = 32, (6, 12, 24, 16)
    x = net.relu(net.conv("stem", net.image(224, 224), 64, 7, 2, bias=False, norm=True))
    x = net.pool("MaxPool", x, 3, 2, 1)
    for number, layers in enumerate(blocks):
        features = [x]
        for layer in range(layers):
            name = f"block{number}.layer{layer}"
            normed = net.relu(net.batch_norm(f"{name}.norm1", concat(net.g, features, 1)))
            hidden = net.relu(net.conv(f"{name}.conv1", normed, 4 * growth, 1, bias=False, norm=True))
            features.append(net.conv(f"{name}.conv2", hidden, growth, 3, bias=False))
        x = net.relu(net.batch_norm(f"block{number}.norm", concat(net.g, features, 1)))
        if number < len(blocks) - 1:
            x = net.pool("AveragePool", net.conv(f"transition{number}", x, x.shape[1] // 2, 1, bias=False), 2, 2)
    _classified(net, x)


def convnext(net: Layers, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    """ConvNeXt (Liu et al. 2022)."""
    g = net.g
    x = net.channel_norm("stem.norm", net.conv("stem", net.image(224, 224), widths[0], 4, 4, 0))
    for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        if number:
            x = net.conv(f"down{number}", net.channel_norm(f"down{number}.norm", x), width, 2, 2, 0)
        for block in range(count):
            name = f"stage{number}.block{block}"
            tokens = transpose(g, net.conv(f"{name}.depthwise", x, width, 7, groups=width), (0, 2, 3, 1))
            hidden = net.gelu(net.linear(f"{name}.fc1", net.layer_norm(f"{name}.norm", tokens), 4 * width))
            image = transpose(g, net.linear(f"{name}.fc2", hidden, width), (0, 3, 1, 2))
            x = add(g, net.scaled(f"{name}.scale", image, (width, 1, 1)), x, f"{name}.sum")
    pooled = net.channel_norm("classifier.norm", net.mean_of_pixels(x))
    g.output(net.linear("classifier", reshape(g, pooled, (1, widths[-1])), _CLASSES), "logits")


def convnext_tiny(net: Layers) -> None:
    """ConvNeXt-Tiny."""
    convnext(net, (96, 192, 384, 768), (3, 3, 9, 3))


def convnext_base(net: Layers) -> None:
    """ConvNeXt-Base."""
    convnext(net, (128, 256, 512, 1024), (3, 3, 27, 3))
