"""Single files of the demo's own networks, which have no configs: they get the demo's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_here import CliHere
from conftest import CHECKPOINT
from PIL import Image
from reference_models import LIKE_SD15_WIDE, save_random
from safetensors.torch import load_file, save_file
from test_loading import original

from qnn_sd.export.checkpoint import Sources, open_checkpoint


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as people hand checkpoints on: one file, fp16, Stable Diffusion's original names."""
    path = tmp_path_factory.mktemp("copy") / "dream.safetensors"
    original(CHECKPOINT, path, torch.float16)
    return path


def test_the_configs_are_the_demos(copy: Path) -> None:
    made, demo = open_checkpoint(Sources(copy)), open_checkpoint(Sources(CHECKPOINT))
    assert all(made.config(part) == demo.config(part) for part in ("text_encoder", "unet", "vae"))
    assert made.config("unet")["norm_num_groups"] == 16, "no shape tells it"
    assert made.config("vae")["scaling_factor"] == 0.57476
    assert (made.scheduler, made.tokenizer, made.own_size) == (demo.scheduler, demo.tokenizer, (128, 128))


def test_spare_tensors_leave_it_the_demo_and_further_layers_dont(copy: Path, tmp_path: Path) -> None:
    tensors, text = load_file(copy), "cond_stage_model.transformer."
    path = tmp_path / "dream.safetensors"
    save_file({**tensors, f"{text}logit_scale": torch.tensor(4.6)}, path)
    assert open_checkpoint(Sources(path)).config("text_encoder")["num_attention_heads"] > 1
    last = {
        name.replace("layers.2", "layers.3"): each.clone() for name, each in tensors.items() if ".layers.2." in name
    }
    save_file({**tensors, **last}, path)
    assert open_checkpoint(Sources(path)).config("text_encoder")["num_hidden_layers"] == 4


def test_its_image_is_the_demos(copy: Path, cli_here: CliHere) -> None:
    """To the rounding of the weights to fp16: a level of 255."""
    options = ("a red circle on a blue background", "--target", "cpu", "--seed", "1")
    done = cli_here("run", *options, "--checkpoint", str(copy), "-o", "copy.png")
    assert done.returncode == 0, done.stderr
    assert "model config tiny-sd" in done.stderr
    cli_here("run", *options, "-o", "demo.png")
    found, wanted = (np.asarray(Image.open(cli_here.folder / f"{name}.png"), int) for name in ("copy", "demo"))
    assert np.abs(found - wanted).max() <= 2


def test_networks_that_differ_in_a_width_are_not_the_demos(tmp_path: Path) -> None:
    save_random(LIKE_SD15_WIDE, tmp_path / "other")
    original(tmp_path / "other", tmp_path / "other.safetensors", torch.float16)
    made = open_checkpoint(Sources(tmp_path / "other.safetensors"))
    assert made.config("unet")["norm_num_groups"] == 32


def test_groups_that_no_file_says_and_no_width_allows_are_refused(tmp_path: Path, cli_here: CliHere) -> None:
    narrow = {**LIKE_SD15_WIDE.unet, "block_out_channels": (48, 48, 48, 48), "norm_num_groups": 16}
    save_random(replace(LIKE_SD15_WIDE, unet={**narrow, "attention_head_dim": 4}), tmp_path / "narrow")
    original(tmp_path / "narrow", tmp_path / "narrow.safetensors", torch.float16)
    options = ("--component", "unet", "--model", "sd15", "--size", "64x64", "--checkpoint", "narrow.safetensors")
    message = cli_here.refused(11, "export", *options)
    assert "UNet2DConditionModel.norm_num_groups is 32, which 48 channels can't be shared by" in message
    assert "folder in diffusers' layout" in message


def test_the_same_of_a_vae(tmp_path: Path, cli_here: CliHere) -> None:
    narrow = {**LIKE_SD15_WIDE.vae, "block_out_channels": (16, 32, 32, 32), "norm_num_groups": 8}
    save_random(replace(LIKE_SD15_WIDE, vae=narrow), tmp_path / "narrow")
    original(tmp_path / "narrow", tmp_path / "narrow.safetensors", torch.float16)
    options = ("--component", "vae_decoder", "--model", "sd15", "--size", "64x64", "--checkpoint", "narrow.safetensors")
    assert "AutoencoderKL.norm_num_groups is 32, which 16 channels" in cli_here.refused(11, "export", *options)
