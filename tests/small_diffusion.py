"""The three networks of a Stable Diffusion with a layer or two each: what is computed makes no picture, but depends on
all that a real one depends on. Latents are 8x8, images 64x64.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from graphs import quantized
from onnx import TensorProto

from qnn_sd.export.blocks.basic import add, conv, reshape
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph, Value

TOKENS, WIDTH, SIDE, FACTOR = 77, 16, 8, 8
# Of the demo's tokenizer, whose prompts these take.
WORDS = 640
SCALING = 0.5


def _matrix(g: Graph, name: str, seed: int) -> Value:
    return g.constant(name, np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)).astype(np.float32) / 4)


def text_encoder(g: Graph) -> None:
    ids = g.input("input_ids", (1, TOKENS), TensorProto.INT32)
    rows = np.random.default_rng(1).standard_normal((WORDS, WIDTH)).astype(np.float32)
    x = g.node("Gather", [g.constant("rows", rows), ids], (1, TOKENS, WIDTH), axis=0)
    g.output(g.node("MatMul", [x, _matrix(g, "out", 2)], x.shape), "last_hidden_state")


def unet(g: Graph) -> None:
    weights = RandomTensors(3)
    sample = g.input("sample", (1, 4, SIDE, SIDE))
    timestep = g.input("timestep", (1,))
    text = g.input("encoder_hidden_states", (1, TOKENS, WIDTH))
    x = conv(g, weights, "conv_in", sample, WIDTH)
    ramp = np.linspace(-1, 1, WIDTH, dtype=np.float32) / 1000
    time = g.node("Mul", [timestep, g.constant("ramp", ramp)], (WIDTH,))
    mean = g.node("ReduceMean", [text, g.constant("axes", np.array([1]))], (1, 1, WIDTH), keepdims=1)
    for condition in (time, g.node("MatMul", [mean, _matrix(g, "condition", 6)], mean.shape)):
        x = add(g, x, reshape(g, condition, (1, WIDTH, 1, 1)))
    g.output(conv(g, weights, "conv_out", g.node("Relu", [x], x.shape), 4), "noise_pred")


def vae_decoder(g: Graph) -> None:
    x = conv(g, RandomTensors(4), "conv", g.input("latent", (1, 4, SIDE, SIDE)), 3 * FACTOR**2)
    image = (1, 3, SIDE * FACTOR, SIDE * FACTOR)
    g.output(g.node("DepthToSpace", [x], image, blocksize=FACTOR), "sample")


NETWORKS: dict[str, Callable[[Graph], None]] = {
    "text_encoder": text_encoder,
    "unet": unet,
    "vae_decoder": vae_decoder,
}


def quantized_networks(folder: Path) -> dict[str, Path]:
    """Their QDQ graphs' folders."""
    rng = np.random.default_rng(5)
    feeds = {
        "text_encoder": {"input_ids": rng.integers(WORDS, size=(1, TOKENS), dtype=np.int32)},
        "unet": {
            "sample": 4 * rng.standard_normal((1, 4, SIDE, SIDE), np.float32),
            "timestep": np.array([999], np.float32),
            "encoder_hidden_states": rng.standard_normal((1, TOKENS, WIDTH), np.float32),
        },
        "vae_decoder": {"latent": 4 * rng.standard_normal((1, 4, SIDE, SIDE), np.float32)},
    }
    return {name: quantized(build, feeds[name], folder / name) for name, build in NETWORKS.items()}
