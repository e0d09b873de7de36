"""Stable Diffusion 1.5's UNet at full size, with random weights: needs 8 GB of memory and disk each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qnn_sd.export import Forms
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.component import write
from qnn_sd.onnx_files import MODEL_FILE

# Every option of runwayml's SD 1.5 UNet that differs from diffusers' defaults.
SD15_UNET = {"cross_attention_dim": 768, "sample_size": 64}


@pytest.mark.full_size
def test_the_unet_of_sd15_is_built_and_runs(tmp_path: Path) -> None:
    weights = RandomTensors(0)
    write("unet", SD15_UNET, weights, 64, 64, 77, tmp_path, Forms())
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
