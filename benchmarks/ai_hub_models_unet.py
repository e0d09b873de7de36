r"""Stable Diffusion 1.5's UNet as Qualcomm AI Hub Models adapts it, as float ONNX: the peer ours is measured against.

Their package asks for versions which clash with ours, so it lives in an environment of its own:

    python3.11 -m venv PEER
    PEER/bin/pip install --no-deps qai-hub-models==0.65.0
    PEER/bin/pip install diffusers==0.35.2 huggingface_hub==1.33.0 numpy==2.4.4 onnx==1.18.0 onnx-ir==1.1.0 \
        onnxruntime==1.22.1 onnxscript==0.7.2 pydantic==2.13.3 qai-hub==0.56.0 torch==2.11.0 typing-extensions==4.15.0
    PEER/bin/python benchmarks/ai_hub_models_unet.py OUT_FOLDER [--plain]

pip names the dependencies of theirs that are missing or newer: the adaptation needs none of them. Nothing else is
downloaded: the UNet has SD 1.5's configuration and size (512x512 pictures) with random weights. OUT_FOLDER gets
``model.onnx`` and ``weights.bin``.

The inputs are theirs: ``latent`` [1, 4, 64, 64], ``timestep`` [1, 1] and ``text_emb`` [1, 77, 768]; the output is
``output_latent`` [1, 4, 64, 64]; all are float32. With ``--plain`` the UNet is diffusers' own as the exporter
traces it. Needs 10 GB of memory and 8 GB of disk.
"""

from __future__ import annotations

import argparse
import collections
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import onnxscript.optimizer
import torch
from diffusers import UNet2DConditionModel
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass
from qai_hub_models.models.templates.diffusion.model_adaptation import get_timestep_embedding, monkey_patch_model

# What differs from diffusers' defaults in SD 1.5's UNet.
SD15_UNET = {"cross_attention_dim": 768, "sample_size": 64}
INPUTS = ("latent", "timestep", "text_emb")
OUTPUT = "output_latent"
MODEL_FILE = "model.onnx"
DATA_FILE = "weights.bin"
# What their exporter passes to torch, together with the exporter that traces (dynamo=False).
OPSET = 20
# Shapes and axes stay inside the model file: ONNX's shape inference reads no external data.
INLINE_BELOW_BYTES = 1024


class FirstOutput(torch.nn.Module):
    """A UNet that returns its tensor instead of diffusers' structure."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, text_emb: torch.Tensor) -> torch.Tensor:
        return self.unet(latent, timestep, text_emb, return_dict=False)[0]


def random_unet() -> UNet2DConditionModel:
    """SD 1.5's UNet with random weights, the same ones every time."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**SD15_UNET).eval().requires_grad_(False)
    for module in unet.modules():
        if isinstance(module, torch.nn.GroupNorm | torch.nn.LayerNorm):
            # They begin as one and zero, which an optimizer may leave out: a trained model has no such luck.
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
    return unet


def random_inputs() -> list[torch.Tensor]:
    """A latent, a timestep and a prompt's embedding, the same ones every time."""
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(1, 4, 64, 64, generator=generator)
    text_emb = torch.randn(1, 77, 768, generator=generator)
    return [latent, torch.tensor([500.0]), text_emb]


def adapt(unet: UNet2DConditionModel, plain: bool) -> None:
    """Changes the UNet in place as their exporter does (``UnetBase.adapt_torch_model``).

    Their own function is not called because its module imports what only their quantizer and client need.

    Args:
        unet: the UNet to change.
        plain: leave the layers alone (their ``on_device_opt=False``). Their time embedding stays: diffusers' spreads
            the timestep over a batch of unknown size, and no shape behind it is known when the model is compiled.
    """
    unet.get_time_embed = get_timestep_embedding
    if not plain:
        monkey_patch_model(unet)


def export(unet: UNet2DConditionModel, inputs: list[torch.Tensor], folder: Path) -> collections.Counter[str]:
    """Writes ``model.onnx`` and ``weights.bin``.

    Returns:
        How many nodes the model has of each op type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as traced, warnings.catch_warnings():
        # The exporter warns of every size that it takes for a constant, and ours are constant.
        warnings.simplefilter("ignore")
        # Beyond 2 GB it writes one file a weight, and only if the path is a string.
        path = str(Path(traced) / MODEL_FILE)
        torch.onnx.export(
            FirstOutput(unet),
            tuple(inputs),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
        )
        model = onnx_ir.load(path)
        # Only what is constant is computed (GroupNorm's shapes, above all); the layers stay as traced.
        onnxscript.optimizer.fold_constants(model, onnx_shape_inference=True)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        RemoveUnusedNodesPass()(model)
        onnx_ir.save(model, folder / MODEL_FILE, external_data=DATA_FILE, size_threshold_bytes=INLINE_BELOW_BYTES)
    return collections.Counter(node.op_type for node in model.graph)


def sqnr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Power of the reference over power of the difference, in dB."""
    noise = np.square(reference.astype(np.float64) - other).sum()
    return math.inf if noise == 0 else 10 * math.log10(np.square(reference.astype(np.float64)).sum() / noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT_FOLDER")
    parser.add_argument("--plain", action="store_true", help="diffusers' UNet as traced, without their adaptation")
    options = parser.parse_args()

    unet, inputs = random_unet(), random_inputs()
    with torch.inference_mode():
        reference = FirstOutput(unet)(*inputs).numpy()
    adapt(unet, options.plain)
    inputs[1] = inputs[1].reshape(1, 1)  # the shape that their time embedding takes
    with torch.inference_mode():
        adapted = FirstOutput(unet)(*inputs).numpy()
    print(f"adapted UNet against diffusers' on torch: {sqnr_db(reference, adapted):.1f} dB")

    counts = export(unet, inputs, options.folder)
    del unet  # ONNX Runtime needs the room
    for op_type, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:6} {op_type}")
    print(f"{counts.total():6} nodes")

    session = onnxruntime.InferenceSession(options.folder / MODEL_FILE, providers=["CPUExecutionProvider"])
    [output] = session.run(None, {name: tensor.numpy() for name, tensor in zip(INPUTS, inputs, strict=True)})
    print(f"ONNX on ONNX Runtime against diffusers' on torch: {sqnr_db(reference, output):.1f} dB")


if __name__ == "__main__":
    main()
