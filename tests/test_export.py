"""The exported graphs against diffusers and transformers: same weights, same inputs, same outputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch
from conftest import CHECKPOINT
from parity import COMPONENTS, LEAST_DB, check, reference_outputs
from reference_models import ARCHITECTURES, Architecture, ReferenceModels, save_random
from safetensors.torch import load_file, save_file

from qnn_sd.errors import CheckpointError, SettingError, UnsupportedModelError
from qnn_sd.export import export_component
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.components import EXPORTS


def opened(checkpoint: Path) -> Checkpoint:
    return open_checkpoint(Sources(checkpoint))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_random_architectures_match_diffusers(architecture: Architecture, tmp_path: Path) -> None:
    models = save_random(architecture, tmp_path)
    factor = 2 ** (len(models.vae.config.block_out_channels) - 1)
    size = (factor * architecture.latent[0], factor * architecture.latent[1])
    outputs = reference_outputs(models, architecture.latent, architecture.extra_inputs, seed=1)
    for component in COMPONENTS:
        check(opened(tmp_path), component, size, tmp_path / "onnx" / component, outputs[component])


def test_demo_checkpoint_matches_diffusers(tmp_path: Path) -> None:
    outputs = reference_outputs(ReferenceModels.load(CHECKPOINT), (16, 16), {}, seed=2)
    for component in COMPONENTS:
        check(opened(CHECKPOINT), component, (128, 128), tmp_path / component, outputs[component])


@pytest.mark.parametrize("component", COMPONENTS)
def test_demo_checkpoint_matches_diffusers_on_real_trajectories(component: str, pipeline: BuildPipeline) -> None:
    """What the components are fed while real prompts are generated, from pure noise to image."""
    models = ReferenceModels.load(CHECKPOINT)
    session = onnxruntime.InferenceSession(
        str(pipeline.export(component).file(MODEL_FILE)), providers=["CPUExecutionProvider"]
    )
    samples = list(pipeline.samples(pipeline.calibration(), component))
    for feeds in samples[:: max(1, len(samples) // 10)]:
        inputs = {name: torch.from_numpy(value) for name, value in feeds.items()}
        with torch.no_grad():
            if component == "text_encoder":
                expected = models.text_encoder(inputs["input_ids"]).last_hidden_state
            elif component == "unet":
                expected = models.unet(**inputs).sample
            elif component == "vae_decoder":
                expected = models.vae.decode(inputs["latent"]).sample
            else:
                expected = models.vae.encode(inputs["image"]).latent_dist.parameters
        assert sqnr_db(expected.numpy(), session.run(None, feeds)[0]) >= LEAST_DB


def test_tensor_names_of_older_libraries_are_read(tmp_path: Path) -> None:
    """Old VAE files name the attention query, key, value, proj_attn; old CLIP files say text_model."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    vae = checkpoint / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(vae).items():
        for modern, former in old.items():
            name = name.replace(f".{modern}.", f".{former}.")  # noqa: PLW2901
        tensors[name] = tensor
    assert any("proj_attn" in name for name in tensors)
    save_file(tensors, vae)
    text = checkpoint / "text_encoder" / "model.safetensors"
    renamed = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(text).items()}
    renamed["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(renamed, text)
    outputs = reference_outputs(ReferenceModels.load(CHECKPOINT), (16, 16), {}, seed=3)
    for component in ("text_encoder", "vae_decoder"):
        check(opened(checkpoint), component, (128, 128), tmp_path / component, outputs[component])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    models = save_random(ARCHITECTURES[1], tmp_path)
    for part, model in (("unet", models.unet), ("vae", models.vae), ("text_encoder", models.text_encoder)):
        model.to(dtype).save_pretrained(tmp_path / part)
        model.to(torch.float32)  # the reference computes in float32 with the rounded weights
    outputs = reference_outputs(models, ARCHITECTURES[1].latent, {}, seed=4)
    for component in COMPONENTS:
        check(opened(tmp_path), component, (16, 32), tmp_path / "onnx" / component, outputs[component])


def edited(tmp_path: Path, part: str, **changes: object) -> Path:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    path = checkpoint / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return checkpoint


@pytest.mark.parametrize(
    ("part", "component", "key", "value"),
    [
        ("unet", "unet", "a_new_option", 3),
        ("unet", "unet", "class_embed_type", "timestep"),
        ("unet", "unet", "act_fn", "snake"),
        ("unet", "unet", "mid_block_type", "UNetMidBlock2D"),
        ("unet", "unet", "resnet_time_scale_shift", "scale_shift"),
        ("unet", "unet", "down_block_types", ["AttnDownBlock2D"] * 3),
        ("unet", "unet", "norm_num_groups", None),
        ("vae", "vae_decoder", "shift_factor", 0.1),
        ("vae", "vae_decoder", "up_block_types", ["AttnUpDecoderBlock2D"] * 4),
        ("text_encoder", "text_encoder", "hidden_act", "tanh"),
        ("text_encoder", "text_encoder", "rope_theta", 1e4),
    ],
)
def test_options_that_are_not_built_are_refused_by_name(
    part: str, component: str, key: str, value: object, tmp_path: Path
) -> None:
    checkpoint = edited(tmp_path, part, **{key: value})
    with pytest.raises(UnsupportedModelError, match=key):
        export_component(opened(checkpoint), EXPORTS[component], 128, 128, tmp_path)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("unet", "attention_head_dim", 0),
        ("unet", "attention_head_dim", []),
        ("unet", "block_out_channels", 64),
        ("unet", "block_out_channels", [64, "96", 128]),
        ("unet", "norm_eps", "small"),
        ("unet", "in_channels", [4]),
        ("unet", "layers_per_block", -1),
        ("vae", "scaling_factor", None),
        ("vae", "use_quant_conv", "yes"),
        ("text_encoder", "hidden_size", 96.5),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(part: str, key: str, value: object, tmp_path: Path) -> None:
    checkpoint = edited(tmp_path, part, **{key: value})
    with pytest.raises(UnsupportedModelError, match=f"{key} is .* which can't be"):
        export_component(opened(checkpoint), EXPORTS["unet"], 128, 128, tmp_path)


def test_levels_that_do_not_match_are_refused(tmp_path: Path) -> None:
    checkpoint = edited(tmp_path, "unet", attention_head_dim=[2, 3])
    with pytest.raises(UnsupportedModelError, match="attention_head_dim has 2 entries for 3 levels"):
        export_component(opened(checkpoint), EXPORTS["unet"], 128, 128, tmp_path)


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="doesn't fit this UNet"):
        export_component(opened(CHECKPOINT), EXPORTS["unet"], 136, 128, tmp_path)
    with pytest.raises(SettingError, match="doesn't fit this VAE"):
        export_component(opened(CHECKPOINT), EXPORTS["unet"], 129, 128, tmp_path)


def damage(tmp_path: Path, **changes: torch.Tensor | None) -> Path:
    """The demo checkpoint with UNet tensors replaced, or left out where None."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    path = checkpoint / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = {**load_file(path), **changes}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    return checkpoint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_in.bias": None}, "no tensor 'conv_in.bias'"),
        ({"conv_in.bias": torch.zeros(7)}, r"conv_in.bias .* has shape \[7\], not \[64\]"),
        ({"conv_in.bias": torch.full((64,), float("nan"))}, "conv_in.bias .* holds NaN"),
        ({"class_embedding.weight": torch.zeros(3)}, "1 tensors that this architecture doesn't use"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_named(
    changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        export_component(opened(damage(tmp_path, **changes)), EXPORTS["unet"], 128, 128, tmp_path)
