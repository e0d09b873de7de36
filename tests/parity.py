"""Holds exported graphs against diffusers and transformers: same weights, same inputs, same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from reference_models import ReferenceModels

from qnn_sd.export import export_component
from qnn_sd.export.checkpoint import Checkpoint
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.components import EXPORTS

LEAST_DB = 70.0
COMPONENTS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")


def reference_outputs(
    models: ReferenceModels, latent: tuple[int, int], extra: dict[str, int], seed: int
) -> dict[str, tuple[dict[str, np.ndarray], np.ndarray]]:
    """Inputs and the reference's output for each component, on the text encoder's own embeddings."""
    generator = torch.Generator().manual_seed(seed)
    channels = models.unet.config.in_channels
    factor = 2 ** (len(models.vae.config.block_out_channels) - 1)
    ids = torch.randint(0, models.text_encoder.config.vocab_size, (1, 77), generator=generator)
    sample = torch.randn(1, channels, *latent, generator=generator)
    time = torch.tensor([613.0])
    image = torch.rand(1, 3, factor * latent[0], factor * latent[1], generator=generator) * 2 - 1
    more = {name: torch.randn(1, width, generator=generator) for name, width in extra.items()}
    with torch.no_grad():
        context = models.text_encoder(ids).last_hidden_state
        unet = models.unet(sample, time, context, **more).sample
        decoded = models.vae.decode(sample).sample
        moments = models.vae.encode(image).latent_dist.parameters
    unet_feeds = {"sample": sample, "timestep": time, "encoder_hidden_states": context, **more}
    return {
        "text_encoder": ({"input_ids": ids.numpy().astype(np.int32)}, context.numpy()),
        "unet": ({name: value.numpy() for name, value in unet_feeds.items()}, unet.numpy()),
        "vae_decoder": ({"latent": sample.numpy()}, decoded.numpy()),
        "vae_encoder": ({"image": image.numpy()}, moments.numpy()),
    }


def check(checkpoint: Checkpoint, component: str, size: tuple[int, int], folder: Path, wanted: tuple) -> None:
    folder.mkdir(parents=True)
    export_component(checkpoint, EXPORTS[component], *size, folder)
    onnx.checker.check_model(str(folder / MODEL_FILE), full_check=True)
    session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    feeds, expected = wanted
    found = session.run(None, feeds)[0]
    assert found.shape == expected.shape
    assert sqnr_db(expected, found) >= LEAST_DB
