"""The forms that the HTP computes faithfully, and the ones that it gets wrong, on the emulator.

A wrong form is kept as a test: when a new compiler computes it right, the test says so, and the
form that avoids it may go.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from graphs import SMALL_UNET, htp_db
from parity import FORMS

from qnn_sd.export.blocks.attention import Attention
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.linear import Linear, Weights
from qnn_sd.export.blocks.norm import affine_of, group_norm, layer_norm
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.forms import Forms
from qnn_sd.export.graph import Graph
from qnn_sd.export.unet import UnetBuilder

FAITHFUL, NOISE = 50.0, 20.0
SOCS = ("sm8550", "sm8650")


def norm_then_conv(side: int, forms: Forms, channels: int = 64) -> Callable[[Graph], None]:
    """conv, GroupNorm, SiLU, conv: the heart of a ResNet block."""

    def build(g: Graph) -> None:
        weights = RandomTensors(1)
        x = conv(g, weights, "first", g.input("x", (1, channels, side, side)), channels)
        x = group_norm(g, "norm", x, affine_of(weights, "norm", channels), 16, 1e-5, forms, "silu")
        g.output(conv(g, weights, "second", x, channels), "y")

    return build


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("group_norm_form", ["pooled", "layer_norm"])
@pytest.mark.parametrize("side", [4, 8, 9, 10, 12, 15, 16, 24])
def test_silu_after_a_norm_is_right_at_every_size(
    side: int, group_norm_form: str, soc: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    feeds = {"x": rng.standard_normal((1, 64, side, side), np.float32)}
    forms = Forms(group_norm=group_norm_form)  # type: ignore[arg-type]
    assert htp_db(norm_then_conv(side, forms), feeds, tmp_path, soc) >= FAITHFUL


@pytest.mark.parametrize(
    ("side", "group_norm_form"), [(4, "layer_norm"), (8, "layer_norm"), (9, "pooled"), (12, "pooled")]
)
def test_silu_after_a_norm_in_four_dimensions_is_noise_when_small(
    side: int, group_norm_form: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    feeds = {"x": rng.standard_normal((1, 64, side, side), np.float32)}
    wrong = Forms(group_norm=group_norm_form, flat_act_below=0)  # type: ignore[arg-type]
    assert htp_db(norm_then_conv(side, wrong), feeds, tmp_path) <= NOISE


def norm_then_linear(tokens: int, forms: Forms, folded: bool = True, width: int = 64) -> Callable[[Graph], None]:
    """LayerNorm, then a linear layer: what every transformer block begins with."""

    def build(g: Graph) -> None:
        weights = RandomTensors(2)
        affine = None if folded else affine_of(weights, "norm", width)
        x = layer_norm(g, "norm", g.input("x", (1, tokens, width)), affine, 1e-5, forms)
        g.output(Linear(g, "linear", Weights.read(weights, "linear", width, width, bias=False), forms)(x), "y")

    return build


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("tokens", [4, 8, 15, 16, 17, 32, 64, 77, 256])
def test_linear_after_layer_norm_is_right_for_every_number_of_tokens(
    tokens: int, folded: bool, soc: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    feeds = {"x": rng.standard_normal((1, tokens, 64), np.float32)}
    assert htp_db(norm_then_linear(tokens, Forms(), folded), feeds, tmp_path, soc) >= FAITHFUL


@pytest.mark.parametrize("folded", [True, False])
def test_linear_right_after_layer_norm_is_noise_with_sixteen_tokens(
    folded: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    feeds = {"x": rng.standard_normal((1, 16, 64), np.float32)}
    assert htp_db(norm_then_linear(16, Forms(separate_affine_at=()), folded), feeds, tmp_path) <= NOISE


def attention(tokens: int, keys: int, forms: Forms) -> tuple[Callable[[Graph], None], dict[str, np.ndarray]]:
    """Two heads of 32; scores from all alike to some that stand out, and values with a mean, as real ones have."""
    rng = np.random.default_rng(4)
    feeds = {
        "x": rng.standard_normal((1, tokens, 64), np.float32) * np.linspace(0.5, 3, tokens, dtype=np.float32)[:, None],
        "c": rng.standard_normal((1, keys, 48), np.float32) + rng.standard_normal((1, 1, 48), np.float32),
    }

    def build(g: Graph) -> None:
        x, over = (g.input(name, array.shape) for name, array in feeds.items())
        layer = Attention(g, RandomTensors(3), "attn", 64, 48, 2, forms)
        g.output(layer.project(layer.heads(x, layer.keys_and_values(over))), "y")

    return build, feeds


@pytest.mark.parametrize("soc", SOCS)
@pytest.mark.parametrize(("tokens", "keys"), [(64, 64), (64, 77), (16, 16), (64, 256), (64, 1024), (64, 4096)])
def test_attention_is_faithful_however_many_keys_there_are(tokens: int, keys: int, soc: str, tmp_path: Path) -> None:
    build, feeds = attention(tokens, keys, Forms())
    assert htp_db(build, feeds, tmp_path, soc) >= FAITHFUL


def test_attention_over_many_values_with_a_mean_is_not(tmp_path: Path) -> None:
    """The shares of 4096 keys add up to less than one."""
    build, feeds = attention(64, 4096, Forms(centred_values_above=4096))
    assert htp_db(build, feeds, tmp_path) < FAITHFUL


# Two of the switches avoid what the compiler gets wrong (above); the mask is the text encoder's.
RIGHT = [name for name in FORMS if name not in ("unflattened", "no_separate_affine", "mask")]


def norm_of_512(forms: Forms) -> Callable[[Graph], None]:
    """GroupNorm of as many pixels as a picture of Stable Diffusion 1.5 has."""

    def build(g: Graph) -> None:
        affine = affine_of(RandomTensors(1), "norm", 8)
        g.output(group_norm(g, "norm", g.input("x", (1, 8, 512, 512)), affine, 4, 1e-5, forms), "y")

    return build


def far_from_zero(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Channels whose means are three fifths of the largest value."""
    return {"x": rng.standard_normal((1, 8, 512, 512), np.float32) + np.float32(8)}


@pytest.mark.parametrize("soc", SOCS)
def test_a_mean_over_many_pixels_is_right_wherever_it_lies(soc: str, tmp_path: Path, rng: np.random.Generator) -> None:
    assert htp_db(norm_of_512(Forms()), far_from_zero(rng), tmp_path, soc) >= FAITHFUL


def test_a_mean_over_many_pixels_at_once_wraps_around(tmp_path: Path, rng: np.random.Generator) -> None:
    at_once = Forms(pool_at_once_up_to=512 * 512)
    assert htp_db(norm_of_512(at_once), far_from_zero(rng), tmp_path) < NOISE


@pytest.mark.parametrize("name", RIGHT)
def test_a_small_unet_is_faithful_in_every_form(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Latents of 16x32: the forms beside each other, at 16x32 and 8x16."""
    builder = UnetBuilder(SMALL_UNET, FORMS[name])
    feeds = {
        "sample": rng.standard_normal((1, 4, 16, 32), np.float32),
        "timestep": np.array([400], np.float32),
        "encoder_hidden_states": rng.standard_normal((1, 77, 48), np.float32),
    }
    assert htp_db(lambda g: builder.build(g, RandomTensors(9), 16, 32, 77), feeds, tmp_path) >= FAITHFUL
