"""Small graphs for the HTP: written with the exporter's blocks, quantized, run on CPU and emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from qnn_sd import qnn_provider
from qnn_sd.config import load_profile
from qnn_sd.export.blocks.attention import AttentionWeights, cross_attention, self_attention
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph, Value
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize import QuantizationScheme, quantize_component
from qnn_sd.quantize.encodings import DEFAULT_SCHEME
from qnn_sd.reference import outputs_of, reference_session
from qnn_sd.runner import Feeds, Outputs

# Two levels, both with attention.
SMALL_UNET = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 48,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}


def quantized(
    build: Callable[[Graph], None],
    feeds: dict[str, np.ndarray],
    folder: Path,
    scheme: QuantizationScheme = DEFAULT_SCHEME,
    int8_operands: bool = True,
) -> Path:
    """Writes a float graph and its QDQ graph, calibrated on the feeds; returns the latter's folder."""
    floats, qdq = folder / "float", folder / "qdq"
    floats.mkdir(parents=True)
    qdq.mkdir()
    with Graph("test", floats) as g:
        build(g)
    quantize_component(floats, [feeds], qdq, int8_operands=int8_operands, scheme=scheme)
    return qdq


def run(folder: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The first output on the CPU, as ONNX defines it."""
    return np.asarray(reference_session(folder / MODEL_FILE).run(None, feeds)[0])


def htp_db(
    build: Callable[[Graph], None],
    feeds: dict[str, np.ndarray],
    folder: Path,
    soc: str = "sm8650",
    scheme: QuantizationScheme = DEFAULT_SCHEME,
) -> float:
    """SQNR of the emulator's run against the CPU's run of the same QDQ graph."""
    profile = load_profile(soc)
    qdq = quantized(build, feeds, folder, scheme)
    session = qnn_provider.session(qdq / MODEL_FILE, qnn_provider.htp_options(profile.soc_model, profile.htp_arch))
    return sqnr_db(run(qdq, feeds), session.run(None, feeds)[0])


def attending(side: int, peak: float, keys: int | None = None) -> tuple[Callable[[Graph], None], dict[str, np.ndarray]]:
    """Two heads of 32; scores from all alike to some that stand out, and values with a mean, as real ones have.

    Args:
        side: of the image.
        peak: what the queries are multiplied by.
        keys: how many tokens are attended to; None for the image itself.
    """
    rng = np.random.default_rng(4)
    # As a norm leaves pixels, before gamma and beta.
    feeds = {"x": rng.standard_normal((1, 64, side, side), np.float32)}
    feeds["x"] += rng.standard_normal((1, 64, 1, 1), np.float32) / 2
    if keys:
        feeds["c"] = rng.standard_normal((1, keys, 48), np.float32) + rng.standard_normal((1, 1, 48), np.float32)

    def build(g: Graph) -> None:
        given: list[Value] = [g.input(name, array.shape) for name, array in feeds.items()]
        layer = AttentionWeights.read(RandomTensors(3), "attn", 64, 48 if keys else 64, 2)
        layer = AttentionWeights(layer.query.scaled(peak), layer.key, layer.value, layer.out)
        attend = cross_attention if keys else self_attention
        g.output(attend(g, "attn", layer, 2, *given), "y")

    return build, feeds


def small_graph(g: Graph) -> None:
    """Two convolutions with a Relu between them: ``x``, [1, 3, 6, 6], to ``y``."""
    weights = RandomTensors(4)
    x = conv(g, weights, "first", g.input("x", (1, 3, 6, 6)), 5)
    g.output(conv(g, weights, "second", g.node("Relu", [x], x.shape, "relu"), 4), "y")


# Inputs of ``two_outputs``: what both guidance passes share, and what differs between them.
TWO_OUTPUTS_SHARED = {"sample": (1, 8, 16, 16)}
TWO_OUTPUTS_DIFFERING = {"condition": (1, 16, 16, 16), "scale": (1, 16, 1, 1)}


def two_outputs(g: Graph) -> None:
    """As a ControlNet's or SDXL's part: two inputs that differ between guidance passes, two outputs, ``noise`` and
    ``residual``, the latter in the shape of ``condition``.
    """
    weights = RandomTensors(3)
    x = conv(g, weights, "first", g.input("sample", TWO_OUTPUTS_SHARED["sample"]), 16)
    condition, scale = (g.input(name, shape) for name, shape in TWO_OUTPUTS_DIFFERING.items())
    x = g.node("Mul", [g.node("Add", [x, condition], x.shape), scale], x.shape)
    noise = conv(g, weights, "second", x, 8)
    g.output(noise, "noise")
    g.output(g.node("Relu", [x], x.shape), "residual")


def two_outputs_feeds(seed: int) -> dict[str, np.ndarray]:
    """Standard normal inputs of ``two_outputs``."""
    rng = np.random.default_rng(seed)
    shapes = {**TWO_OUTPUTS_SHARED, **TWO_OUTPUTS_DIFFERING}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def two_outputs_passes(seed: int) -> list[dict[str, np.ndarray]]:
    """Two values for each input of ``two_outputs`` that differs between guidance passes."""
    feeds = [two_outputs_feeds(seed + number) for number in range(2)]
    return [{name: each[name] for name in TWO_OUTPUTS_DIFFERING} for each in feeds]


def all_outputs(folder: Path, feeds: Feeds) -> Outputs:
    """Every output on the CPU, as ONNX defines it."""
    return outputs_of(reference_session(folder / MODEL_FILE), feeds)
