"""Stable Diffusion 1.5 at full size, with random weights: needs 16 GB of memory, 12 GB of disk and half an hour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT
from graphs import htp_db, run
from parity import COMPONENTS, check, reference_outputs
from reference_models import SD15, ReferenceModels, save_random

from qnn_sd.export import UNET, GraphSize, write_graph
from qnn_sd.export.blocks.resnet import downsample, resnet, upsample
from qnn_sd.export.blocks.transformer import spatial_transformer
from qnn_sd.export.checkpoint import RandomTensors, Sources, open_checkpoint
from qnn_sd.export.graph import Graph, Value
from qnn_sd.export.vae import VaeBuilder
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE

sys.path.append(str(ROOT / "benchmarks"))

from random_checkpoint import write_checkpoint

pytestmark = pytest.mark.full_size


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReferenceModels]:
    """SD 1.5's three networks with random weights (seed 0), and the folder that they were saved in."""
    folder = tmp_path_factory.mktemp("sd15")
    return folder, save_random(SD15, folder)


def test_the_unet_of_sd15_is_built_and_runs(tmp_path: Path) -> None:
    weights = RandomTensors(0)
    write_graph(UNET, SD15.unet, weights, GraphSize(64, 64, 77), tmp_path)
    assert (weights.tensors, weights.parameters) == (686, 859_520_964)
    session = onnxruntime.InferenceSession(str(tmp_path / MODEL_FILE), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {
        "sample": rng.standard_normal((1, 4, 64, 64), np.float32),
        "timestep": np.array([500], np.float32),
        "encoder_hidden_states": rng.standard_normal((1, 77, 768), np.float32),
    }
    [noise] = session.run(None, feeds)
    assert noise.shape == (1, 4, 64, 64)
    assert np.isfinite(noise).all()
    assert 0.01 < noise.std() < 100


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_matches_diffusers(
    component: str, checkpoint: tuple[Path, ReferenceModels], tmp_path: Path
) -> None:
    """At 512x512."""
    folder, models = checkpoint
    outputs = reference_outputs(models, SD15.latent, {}, seed=1)
    check(open_checkpoint(Sources(folder)), component, (512, 512), tmp_path / component, outputs[component])


# What a program's children have used is counted from before they are started, so a small one must start them.
LAUNCHER = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""


def test_export_needs_at_most_three_minutes_and_six_gigabytes(
    checkpoint: tuple[Path, ReferenceModels], tmp_path: Path
) -> None:
    folder, _ = checkpoint
    command = [sys.executable, "-m", "qnn_sd", "export", "--model", "sd15", "--checkpoint", str(folder), "--json"]
    environment = {**os.environ, "QNN_SD_CACHE": str(tmp_path / "cache")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command], env=environment, capture_output=True, text=True, check=True
    )
    seconds = time.monotonic() - started
    status, peak = json.loads(done.stdout)
    assert status == 0, done.stderr
    print(f"{seconds:.0f} s, {peak / 1e9:.2f} GB, the checkpoint's mapped pages included")
    assert seconds <= 180
    assert peak <= 6e9


def test_estimates_are_within_a_factor_of_two(tmp_path: Path) -> None:
    """Of the export, and of an image of two steps on the CPU, in a fresh cache: seconds and disk."""
    write_checkpoint(tmp_path / "checkpoint")
    model = ("--checkpoint", str(tmp_path / "checkpoint"), "--cache", str(tmp_path / "cache"))
    image = ("run", "a red circle", "--target", "cpu", "--steps", "2", "-o", str(tmp_path / "out.png"))
    for arguments in (("export", *model), (*image, *model)):
        command = [sys.executable, "-m", "qnn_sd", *arguments, "--json"]
        planned = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
        plan = json.loads(planned.stdout)
        held = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.monotonic() - started
        size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) - held
        print(f"{arguments[0]}: {plan['estimated_seconds']:.0f} s said, {seconds:.0f} s; {size / 1e9:.2f} GB")
        assert "s on this machine" in done.stderr
        assert 0.5 <= plan["estimated_seconds"] / seconds <= 2
        assert 0.8 <= plan["disk_bytes"] / size <= 1.25


Block = tuple[dict[str, tuple[int, ...]], Callable[[Graph, dict[str, Value]], Value]]


def unet_resnet(channels: int, out: int, side: int) -> Block:
    """A ResNet block of the UNet, the time embedding included."""

    def build(g: Graph, given: dict[str, Value]) -> Value:
        options = {"groups": 32, "epsilon": 1e-5, "act": "silu", "time": given["t"]}
        return resnet(g, RandomTensors(1), "resnet", given["x"], out, **options)

    return {"x": (1, channels, side, side), "t": (1, 1280)}, build


def unet_transformer(channels: int, side: int) -> Block:
    """A spatial transformer of the UNet."""

    def build(g: Graph, given: dict[str, Value]) -> Value:
        options = {"heads": 8, "layers": 1, "groups": 32, "linear_projection": False}
        return spatial_transformer(g, RandomTensors(2), "transformer", given["x"], given["c"], **options)

    return {"x": (1, channels, side, side), "c": (1, 77, 768)}, build


def vae_resnet(channels: int, out: int) -> Block:
    """A ResNet block of the VAE."""

    def build(g: Graph, given: dict[str, Value]) -> Value:
        options = {"groups": 32, "epsilon": 1e-6, "act": "silu"}
        return resnet(g, RandomTensors(3), "resnet", given["x"], out, **options)

    return {"x": (1, channels, 64, 64)}, build


def vae_attention(side: int) -> Block:
    """The VAE's attention over 4096 tokens, one head of 512."""

    def build(g: Graph, given: dict[str, Value]) -> Value:
        return VaeBuilder(SD15.vae).attention(g, RandomTensors(4), "attention", given["x"])

    return {"x": (1, 512, side, side)}, build


def upsampler(channels: int, side: int) -> Block:
    """Nearest neighbour and conv."""
    return {"x": (1, channels, side, side)}, lambda g, given: upsample(g, RandomTensors(5), "up", given["x"])


def downsampler(channels: int, side: int, padding: int) -> Block:
    """Conv with stride 2."""
    return {"x": (1, channels, side, side)}, lambda g, given: downsample(
        g, RandomTensors(6), "down", given["x"], padding
    )


BLOCKS: dict[str, Block] = {
    **{
        f"unet resnet {channels} to {out} at {side}": unet_resnet(channels, out, side)
        for channels, out, side in (
            (320, 320, 64),
            (640, 320, 64),
            (960, 320, 64),
            (320, 640, 32),
            (640, 640, 32),
            (960, 640, 32),
            (1280, 640, 32),
            (1920, 640, 32),
            (640, 1280, 16),
            (1280, 1280, 16),
            (1920, 1280, 16),
            (2560, 1280, 16),
            (1280, 1280, 8),
            (2560, 1280, 8),
        )
    },
    **{
        f"unet transformer {channels} at {side}": unet_transformer(channels, side)
        for channels, side in ((320, 64), (640, 32), (1280, 16), (1280, 8), (64, 96))
    },
    **{
        f"unet downsampler {channels} at {side}": downsampler(channels, side, 1)
        for channels, side in ((320, 64), (640, 32), (1280, 16))
    },
    **{
        f"unet upsampler {channels} at {side}": upsampler(channels, side)
        for channels, side in ((1280, 8), (1280, 16), (640, 32))
    },
    "vae resnet 512 at 64": vae_resnet(512, 512),
    **{
        # 64x64 pixels of them, or the emulator takes minutes for each.
        f"vae resnet {channels} to {out}": vae_resnet(channels, out)
        for channels, out in ((512, 512), (512, 256), (256, 256), (256, 128), (128, 128), (128, 256), (256, 512))
    },
    "vae attention": vae_attention(64),
    "vae upsampler 512": upsampler(512, 32),
    "vae upsampler 256": upsampler(256, 32),
    "vae downsampler 128": downsampler(128, 64, 0),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_kind_of_block_is_faithful_at_full_width(name: str, tmp_path: Path) -> None:
    """On the emulator against the CPU's run of the same QDQ graph: 50 dB, or 20 more than the QDQ is from float."""
    shapes, block = BLOCKS[name]
    rng = np.random.default_rng(7)
    feeds = {key: rng.standard_normal(shape, np.float32) for key, shape in shapes.items()}

    def build(g: Graph) -> None:
        g.output(block(g, {key: g.input(key, shape) for key, shape in shapes.items()}), "y")

    found = htp_db(build, feeds, tmp_path)
    quantized_db = sqnr_db(run(tmp_path / "float", feeds), run(tmp_path / "qdq", feeds))
    print(f"{name}: HTP against QDQ {found:.1f} dB, QDQ against float {quantized_db:.1f} dB")
    assert found >= min(50, quantized_db + 20)
