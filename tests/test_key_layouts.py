"""Checkpoints as tools write them: prefixes, spellings and shapes, spare tensors, markers, variants, parts given apart.

The judge of a layout is the same model's folder: every tensor has the same values.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import UNet2DConditionModel
from original_layout import to_original
from reference_models import LIKE_SD15_WIDE, ReferenceModels, save_random
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from qnn_sd.errors import CheckpointError, QnnSdError, UnsupportedModelError
from qnn_sd.export import export_component
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint, original_config
from qnn_sd.export.checkpoint.parts import PARTS
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.components import EXPORTS

Tensors = dict[str, torch.Tensor]
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose configs are Stable Diffusion 1.x's in what no tensor tells."""
    path = tmp_path_factory.mktemp("layouts") / "folder"
    save_random(LIKE_SD15_WIDE, path)
    return path


@pytest.fixture(scope="module")
def original(folder: Path) -> Tensors:
    return to_original(folder)


def diffusers_names(folder: Path) -> Tensors:
    """All networks of a folder in one state dict, by diffusers' names."""
    return {
        f"{part}.{name}": tensor
        for part in PARTS
        for path in (folder / part).glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def opened(path: Path, said: list[str] | None = None, **sources: object) -> Checkpoint:
    return open_checkpoint(Sources(path, **sources), say=lambda line: said.append(line) if said is not None else None)  # type: ignore[arg-type]


def written(tensors: Mapping[str, torch.Tensor], path: Path, **metadata: str) -> Path:
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata or None)
    return path


def assert_same(found: Checkpoint, folder: Path, parts: tuple[str, ...] = PARTS) -> None:
    """Every tensor of the folder's, to the bit."""
    for part in parts:
        source = found.weights(part)
        [path] = (folder / part).glob("*.safetensors")
        for name, tensor in load_file(path).items():
            here = name if source.has(name) else name.removeprefix("text_model.")
            np.testing.assert_array_equal(source.get(here, tuple(tensor.shape)), tensor.numpy(), err_msg=name)


def renamed(pattern: str, replacement: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {re.sub(pattern, replacement, name): tensor for name, tensor in tensors.items()}


def vae_attention(former: str, norm: str, linear: bool) -> Callable[[Tensors], Tensors]:
    """The VAE's attention with other names, and its weights as matrices or 1x1 convolutions."""
    words = dict(zip(("q", "k", "v", "proj_out"), former.split(), strict=True))

    def change(tensors: Tensors) -> Tensors:
        made = {}
        for name, tensor in tensors.items():
            if found := re.search(r"\.mid\.attn_1\.(q|k|v|proj_out)\.", name):
                name = name.replace(f"attn_1.{found[1]}.", f"attn_1.{words[found[1]]}.")  # noqa: PLW2901
                tensor = tensor.flatten(1) if linear and tensor.ndim > 1 else tensor  # noqa: PLW2901
            made[name.replace("attn_1.norm.", f"attn_1.{norm}.")] = tensor
        return made

    return change


LAYOUTS: dict[str, Callable[[Tensors], Tensors]] = {
    "VAE to_q, matrices": vae_attention("to_q to_k to_v to_out.0", "norm", linear=True),
    "VAE to_q, 1x1": vae_attention("to_q to_k to_v to_out.0", "group_norm", linear=False),
    "VAE query": vae_attention("query key value proj_attn", "norm", linear=True),
    "UNet of ComfyUI": renamed(f"^{UNET}", "diffusion_model."),
    "UNet without prefix": renamed(f"^{UNET}", ""),
    "text without text_model": renamed(r"\.text_model\.", "."),
    "text encoder's own prefix": renamed(f"^{TEXT}", "text_encoder."),
    "text of ComfyUI's clip_l": renamed(f"^{TEXT}", "cond_stage_model.clip_l.transformer."),
    "VAE's own prefix": renamed(f"^{VAE}", "vae."),
    "all under one prefix": renamed("^", "state_dict."),
    "slashes": renamed(f"^({UNET}|{VAE}|{TEXT})", "net/"),
    "text named as OpenCLIP's": renamed(f"^{TEXT}", "cond_stage_model.model.transformer."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_that_differ_in_names_are_the_same_model(
    layout: str, folder: Path, original: Tensors, tmp_path: Path
) -> None:
    assert_same(opened(written(LAYOUTS[layout](original), tmp_path / "model.safetensors")), folder)


def test_diffusers_names_in_one_file(folder: Path, tmp_path: Path) -> None:
    found = opened(written(diffusers_names(folder), tmp_path / "model.safetensors"))
    assert_same(found, folder)
    assert found.config("unet")["cross_attention_dim"] == 64


def test_two_networks_of_a_kind_are_not_chosen_between(original: Tensors, tmp_path: Path) -> None:
    twice = {f"{side}.{name.removeprefix(UNET)}": t for side in "ab" for name, t in original.items() if UNET in name}
    with pytest.raises(CheckpointError, match="holds two networks of the kind unet"):
        opened(written(twice, tmp_path / "model.safetensors"))


# Spare tensors.


def exported(found: Checkpoint, component: str, folder: Path) -> list[str]:
    folder.mkdir()
    return export_component(found, EXPORTS[component], 64, 64, folder).get("remarks", [])


@pytest.mark.parametrize(
    ("spare", "component"),
    [
        (f"{TEXT}logit_scale", "text_encoder"),
        (f"{TEXT}vision_model.embeddings.class_embedding", "text_encoder"),
        (f"{UNET}some_tool.note", "unet"),
        (f"{VAE}discriminator.weight", "vae_decoder"),
    ],
)
def test_spare_tensors_are_named_and_nothing_else(
    spare: str, component: str, folder: Path, original: Tensors, tmp_path: Path
) -> None:
    found = opened(written({**original, spare: torch.full((8,), torch.nan)}, tmp_path / "model.safetensors"))
    assert_same(found, folder)
    [line] = exported(found, component, tmp_path / "graph")
    assert f"1 tensor ({spare.removeprefix(TEXT).removeprefix(UNET).removeprefix(VAE)}) that nothing reads" in line
    assert exported(opened(folder), component, tmp_path / "plain") == []


def test_what_stands_beside_the_networks_is_named(original: Tensors, tmp_path: Path) -> None:
    said: list[str] = []
    known = {
        "model_ema.decay": torch.zeros(1),
        "global_step": torch.zeros(1),
        "cond_stage_model.logit_scale": torch.ones(1),
    }
    opened(written({**original, **known}, tmp_path / "known.safetensors"), said)
    assert not said
    opened(written({**original, "lora_te_x.lora_down.weight": torch.zeros(1)}, tmp_path / "model.safetensors"), said)
    assert said == [
        "model.safetensors has 1 tensor (lora_te_x.lora_down.weight) beside its networks, which nothing reads"
    ]


def test_a_file_that_is_mostly_unknown_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    [path] = (copy / "text_encoder").glob("*.safetensors")
    written({**load_file(path), **{f"other.{number}": torch.zeros(1) for number in range(90)}}, path)
    with pytest.raises(CheckpointError, match="90 tensors that this architecture doesn't use"):
        exported(opened(copy), "text_encoder", tmp_path / "graph")


def edited(folder: Path, copy: Path, part: str, **changes: object) -> Path:
    shutil.copytree(folder, copy)
    path = copy / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


def test_a_config_with_fewer_layers_is_clip_skip(folder: Path, tmp_path: Path) -> None:
    """The second last layer's output under the final norm, as transformers computes it."""
    copy = edited(folder, tmp_path / "copy", "text_encoder", num_hidden_layers=1)
    said: list[str] = []
    assert exported(opened(copy, said), "text_encoder", tmp_path / "graph") == []
    [line] = said
    assert line == "text_encoder: its config takes 1 of 2 layers, which is clip skip 2"
    ids = np.arange(77, dtype=np.int32)[None] % 200
    [found] = onnxruntime.InferenceSession(str(tmp_path / "graph" / MODEL_FILE)).run(None, {"input_ids": ids})
    with torch.no_grad():
        model = CLIPTextModel.from_pretrained(copy / "text_encoder")
        expected = model(torch.from_numpy(ids).long()).last_hidden_state.numpy()
        whole = ReferenceModels.load(folder).text_encoder(torch.from_numpy(ids).long()).last_hidden_state.numpy()
    assert sqnr_db(expected, found) >= 70
    assert sqnr_db(expected, whole) < 40
    # The option counts from the file's last layer, whatever the config says.
    for number, layers in ((1, 2), (2, 1)):
        asked = opened(copy, clip_skip=number)
        assert (asked.clip_skip, asked.config("text_encoder")["num_hidden_layers"]) == (number, layers)
    assert opened(folder).clip_skip == 1
    # A tensor of a layer far behind is no layer.
    spare = edited(folder, tmp_path / "spare", "text_encoder")
    [path] = (spare / "text_encoder").glob("*.safetensors")
    written({**load_file(path), "text_model.encoder.layers.9.note": torch.zeros(1)}, path)
    assert opened(spare).clip_skip == 1
    with pytest.raises(CheckpointError, match=r"has no tensor .*layers\.2"):
        exported(
            opened(edited(folder, tmp_path / "more", "text_encoder", num_hidden_layers=3)),
            "text_encoder",
            tmp_path / "x",
        )
    for wrong in ("1", None, 0, 1.0, True, [1]):
        said.clear()
        copy = edited(folder, tmp_path / f"wrong {wrong}", "text_encoder", num_hidden_layers=wrong)
        assert opened(copy, said).clip_skip == 1
        assert said == []
        with pytest.raises(QnnSdError, match="num_hidden_layers is"):
            exported(opened(copy), "text_encoder", tmp_path / f"graph {wrong}")
    # Nor does an option hide a layer that is missing.
    for number, message in ((1, r"has no tensor .*layers\.2"), (4, "has 3 layers")):
        with pytest.raises(QnnSdError, match=message):
            exported(opened(tmp_path / "more", clip_skip=number), "text_encoder", tmp_path / str(number))


@pytest.mark.parametrize(
    ("part", "component", "keys"),
    [
        ("unet", "unet", {"decay": 0.9999, "optimization_step": 470000, "trained_by": "somebody", "new_part": None}),
        ("unet", "unet", {"gradient_checkpointing": True, "lora_rank": 4, "_class_name": None}),
        ("vae", "vae_decoder", {"note": "mse", "use_tiling": False}),
        ("text_encoder", "text_encoder", {"num_beams": 1, "max_length": 20, "temperature": 1.0, "prefix": None}),
    ],
)
def test_harmless_options_of_a_config_are_named(
    part: str, component: str, keys: dict[str, object], folder: Path, tmp_path: Path
) -> None:
    said = exported(opened(edited(folder, tmp_path / "copy", part, **keys)), component, tmp_path / "graph")
    known = ("decay", "optimization_step", "num_beams", "max_length", "temperature", "_class_name")
    unknown = [key for key in keys if key not in known]
    assert said == [f"{part}: its config has {', '.join(unknown)}, which nothing reads"]


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_a_network_in_a_folder_may_lack_its_config(part: str, folder: Path, tmp_path: Path) -> None:
    """What its tensors don't tell is Stable Diffusion 1.x's, as in a single file."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / part / "config.json").unlink()
    said: list[str] = []
    found = opened(copy, said)
    assert_same(found, folder)
    assert [line.split(":")[0] for line in said] == [f"{part} has no config.json"]
    theirs = opened(folder).config(part)
    made = found.config(part)
    assert {key: made[key] for key in made.keys() & theirs.keys() - {"_class_name"}} == {
        key: theirs[key] for key in made.keys() & theirs.keys() - {"_class_name"}
    }


@pytest.mark.parametrize("factor", [0, -0.18215])
def test_a_vaes_scale_is_a_number_over_0(factor: float, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="scaling_factor"):
        exported(opened(edited(folder, tmp_path / "copy", "vae", scaling_factor=factor)), "vae_decoder", tmp_path / "x")


def test_a_config_of_both_of_clips_networks(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "text_encoder" / "config.json"
    both = {"model_type": "clip", "text_config": json.loads(path.read_text()), "vision_config": {}, "logit_scale": 2.6}
    path.write_text(json.dumps(both))
    assert exported(opened(copy), "text_encoder", tmp_path / "graph") == []


# What a file says of its model.

V, ZERO = (
    "v_prediction",
    {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
)
EMPTY = torch.zeros(0)
LAST_IS_ZERO = torch.linspace(0.99, 0, 1000)


@pytest.mark.parametrize(
    ("more", "metadata", "expected"),
    [
        ({}, {}, {"prediction_type": "epsilon"}),
        ({"v_pred": EMPTY}, {}, {"prediction_type": V}),
        ({"v_pred": EMPTY, "ztsnr": EMPTY}, {}, ZERO),
        ({f"{UNET}v_pred": EMPTY, f"{UNET}ztsnr": EMPTY}, {}, ZERO),
        ({"v_pred": EMPTY, "alphas_cumprod": LAST_IS_ZERO}, {}, ZERO),
        ({}, {"modelspec.prediction_type": "v"}, {"prediction_type": V}),
        ({}, {"modelspec.prediction_type": "V-Prediction", "ss_zero_terminal_snr": "True"}, ZERO),
        ({}, {"modelspec.prediction_type": "epsilon"}, {"prediction_type": "epsilon"}),
        ({}, {"modelspec.architecture": "stable-diffusion-v2-768-v"}, {"prediction_type": V}),
        ({}, {"ss_v_parameterization": "False"}, {"prediction_type": "epsilon"}),
        ({}, {"modelspec.prediction_type": ""}, {"prediction_type": "epsilon"}),
    ],
)  # fmt: skip
def test_markers_are_taken(
    more: Tensors,
    metadata: dict[str, str],
    expected: dict[str, object],
    original: Tensors,
    folder: Path,
    tmp_path: Path,
) -> None:
    said: list[str] = []
    found = opened(written({**original, **more}, tmp_path / "model.safetensors", **metadata), said)
    keys = ("prediction_type", "rescale_betas_zero_snr", "timestep_spacing")
    assert {key: found.scheduler[key] for key in keys if key in found.scheduler} == expected
    assert bool(said) == (expected["prediction_type"] == V)
    assert_same(found, folder, ("unet",))
    assert exported(found, "vae_decoder", tmp_path / "graph") == []


@pytest.mark.parametrize(
    ("more", "metadata", "message", "given"),
    [
        ({"v_pred": EMPTY}, {"modelspec.prediction_type": "epsilon"}, "predicts epsilon, and that it predicts v", "v"),
        ({}, {"modelspec.prediction_type": "sample"}, "predicts 'sample'", "epsilon"),
        ({"ztsnr": EMPTY}, {}, "zero terminal SNR, and would predict epsilon", "v"),
    ],
)
def test_contradictions_are_refused_and_the_option_settles_them(
    more: Tensors, metadata: dict[str, str], message: str, given: str, original: Tensors, tmp_path: Path
) -> None:
    path = written({**original, **more}, tmp_path / "model.safetensors", **metadata)
    with pytest.raises(QnnSdError, match=message) as caught:
        opened(path)
    assert "--prediction" in caught.value.hint
    kinds = {"epsilon": "epsilon", "v": V}
    assert opened(path, prediction=given).scheduler["prediction_type"] == kinds[given]


def test_the_users_word_settles_what_zero_terminal_snr_goes_with(original: Tensors, tmp_path: Path) -> None:
    """As a folder with both is read: diffusers paints it."""
    path = written({**original, "ztsnr": EMPTY}, tmp_path / "model.safetensors")
    for given in ("epsilon", "v"):
        scheduler = opened(path, prediction=given).scheduler
        assert scheduler["rescale_betas_zero_snr"]
        assert scheduler["prediction_type"] == {"epsilon": "epsilon", "v": V}[given]


def test_a_yaml_beside_a_file_says_it_too(original: Tensors, tmp_path: Path) -> None:
    path = written(original, tmp_path / "model.safetensors")
    for said, kind in (
        ('"v"', V),
        ("v # as Salimans and Ho", V),
        ('"eps"', "epsilon"),
        ("velocity_of_light", "epsilon"),
    ):
        text = f"model:\n  params:\n    parameterization: {said}\n    linear_start: 0.00085\n"
        path.with_suffix(".yaml").write_text(text)
        assert opened(path).scheduler["prediction_type"] == kind


def test_a_unets_config_says_it_too(folder: Path, tmp_path: Path) -> None:
    copy = edited(folder, tmp_path / "copy", "unet", prediction_type=V)
    (copy / "scheduler").mkdir(exist_ok=True)
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({"_class_name": "DDIMScheduler"}))
    assert opened(copy).scheduler["prediction_type"] == V
    assert exported(opened(copy), "unet", tmp_path / "graph") == []


def test_what_is_not_built_is_named(original: Tensors, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="EDM"):
        opened(written({**original, "edm_vpred.sigma_max": EMPTY}, tmp_path / "model.safetensors"))


def test_a_folders_files_and_its_scheduler_must_agree(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "scheduler").mkdir(exist_ok=True)
    config = copy / "scheduler" / "scheduler_config.json"
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    config.write_text(json.dumps({"_class_name": "DDIMScheduler", **noise, "prediction_type": "epsilon"}))
    said: list[str] = []
    assert opened(copy, said).scheduler["prediction_type"] == "epsilon"
    assert opened(copy, said, prediction="v").scheduler["prediction_type"] == V
    assert said == ["--prediction v counts, though scheduler_config.json says epsilon"]
    [path] = (copy / "unet").glob("*.safetensors")
    written(load_file(path), path, **{"modelspec.prediction_type": "v"})
    with pytest.raises(CheckpointError, match="predicts epsilon, and that it predicts v"):
        opened(copy)
    config.write_text(json.dumps({"_class_name": "DDIMScheduler"}))
    assert opened(copy).scheduler["prediction_type"] == V


def test_the_identity_is_the_files_whatever_is_said(original: Tensors, tmp_path: Path) -> None:
    path = written(original, tmp_path / "model.safetensors")
    assert opened(path, prediction="v").identity() == opened(path).identity()


# Names of weights in a folder.


def variant(copy: Path, *names: str) -> None:
    [path] = (copy / "unet").glob("*.safetensors")
    for number, name in enumerate(names):
        tensors = load_file(path)
        tensors["conv_in.bias"] = torch.full_like(tensors["conv_in.bias"], number)
        save_file(tensors, path.parent / name)
    path.unlink()


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["diffusion_pytorch_model.bf16.safetensors"], 0),
        (["diffusion_pytorch_model.non_ema.safetensors"], 0),
        (["diffusion_pytorch_model.non_ema.safetensors", "diffusion_pytorch_model.bf16.safetensors"], 1),
        (["diffusion_pytorch_model.bf16.safetensors", "diffusion_pytorch_model.fp16.safetensors"], 1),
        (["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.fp32.safetensors"], 1),
        (["diffusion_pytorch_model.mine.safetensors", "diffusion_pytorch_model.non_ema.fp16.safetensors"], 0),
        (["my_unet.safetensors"], 0),
    ],
)
def test_a_variant_is_taken_where_it_is_all_there_is(
    names: list[str], taken: int, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    variant(copy, *names)
    said: list[str] = []
    found = opened(copy, said)
    assert found.weights("unet").get("conv_in.bias", (32,))[0] == taken
    assert [names[taken] in line for line in said] == [True]
    assert set(found.files("unet")) == {f"unet/{names[taken]}"}


def sharded(folder: Path, copy: Path) -> list[Path]:
    """A copy whose UNet lies in shards, without their index."""
    shutil.copytree(folder, copy)
    [path] = (copy / "unet").glob("*.safetensors")
    path.unlink()
    ReferenceModels.load(folder).unet.save_pretrained(copy / "unet", max_shard_size="300KB")
    next((copy / "unet").glob("*.index.json")).unlink()
    return sorted((copy / "unet").glob("*-of-*.safetensors"))


def test_shards_need_no_index_where_all_are_there(folder: Path, tmp_path: Path) -> None:
    shards = sharded(folder, tmp_path / "copy")
    assert len(shards) > 1
    assert opened(tmp_path / "copy").parameters("unet") == opened(folder).parameters("unet")
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"has {len(shards) - 1} of {len(shards)} shards") as caught:
        opened(tmp_path / "copy")
    assert "number 2 isn't" in caught.value.why
    for path in shards:
        path.unlink(missing_ok=True)
    index = tmp_path / "copy" / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shards[0].name, "b": shards[1].name}}))
    with pytest.raises(CheckpointError, match="is an index without its shards"):
        opened(tmp_path / "copy")


def test_the_root_of_a_cached_model_is_its_snapshot(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "models--owner--name"
    (root / "refs").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="nothing in snapshots/") as caught:
        opened(root)
    assert caught.value.hint.endswith("owner/name.")
    shutil.copytree(folder, root / "snapshots" / "abc")
    assert_same(opened(root), folder, ("vae",))
    shutil.copytree(folder, root / "snapshots" / "def")
    with pytest.raises(CheckpointError, match="holds 2 versions"):
        opened(root / "snapshots")
    (root / "refs" / "main").write_text("def")
    assert opened(root).origin == root / "snapshots" / "def"


# Networks given apart.


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "folder"
    save_random(LIKE_SD15_WIDE, path, seed=9)
    return path


def bare(folder: Path, path: Path, part: str) -> Path:
    """A network's file alone, without its config."""
    return Path(shutil.copy(next((folder / part).glob("*.safetensors")), path))


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
@pytest.mark.parametrize(
    "given",
    [
        lambda other, _part, _tmp: other,
        lambda other, part, _tmp: other / part,
        lambda other, part, _tmp: next((other / part).glob("*.safetensors")),
        lambda other, part, tmp: bare(other, tmp / "lone.safetensors", part),
        lambda other, part, tmp: bare(other, tmp / "model.safetensors", part).parent,
        lambda other, _part, tmp: written(to_original(other), tmp / "whole.safetensors"),
    ],
    ids=["checkpoint", "folder", "file", "file-without-config", "folder-without-config", "single-file"],
)
def test_a_network_is_given_apart(
    given: Callable[[Path, str, Path], Path], part: str, folder: Path, other: Path, original: Tensors, tmp_path: Path
) -> None:
    prefix = {"vae": VAE, "text_encoder": TEXT}[part]
    without = {name: tensor for name, tensor in original.items() if not name.startswith(prefix)}
    path = written(without, tmp_path / "without.bin.safetensors")
    with pytest.raises(CheckpointError, match=f"has no {part}") as caught:
        opened(path)
    assert f"--{part.replace('_', '-')}" in caught.value.hint
    (tmp_path / "given").mkdir()
    said: list[str] = []
    found = opened(path, said, **{part: given(other, part, tmp_path / "given")})
    assert_same(found, other, (part,))
    assert_same(found, folder, ("unet",))
    assert found.config(part)["norm_num_groups" if part == "vae" else "hidden_size"] in (32, 64)
    assert [("config.json" in line) for line in said] in ([], [True])
    assert (found.identity().text_encoder is None) == (part == "vae")


def test_what_no_shape_tells_is_stable_diffusion_2s_where_the_text_is_as_wide(folder: Path, tmp_path: Path) -> None:
    """Its UNet as diffusers has it for Stable Diffusion 2.1: 5, 10, 20 and 20 heads; here with narrower levels."""
    channels = (64, 128)
    unet = UNet2DConditionModel(
        block_out_channels=channels, layers_per_block=1, cross_attention_dim=1024, attention_head_dim=[1, 2],
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        use_linear_projection=True,
    )  # fmt: skip
    text = CLIPTextModel(
        CLIPTextConfig(hidden_size=1024, intermediate_size=8, num_hidden_layers=1, num_attention_heads=16, vocab_size=9)
    )
    said: list[str] = []
    found = opened(
        written(unet.state_dict(), tmp_path / "unet.safetensors"), said, vae=folder / "vae",
        text_encoder=written(text.state_dict(), tmp_path / "text.safetensors"),
    )  # fmt: skip
    assert found.config("unet")["attention_head_dim"] == unet.config["attention_head_dim"]
    assert found.config("unet")["use_linear_projection"]
    assert found.config("text_encoder")["hidden_act"] == "gelu"
    assert found.config("text_encoder")["num_attention_heads"] == 16
    assert any("is taken for Stable Diffusion 2.x" in line for line in said)
    assert original_config.unet(sd2_shapes())["attention_head_dim"] == [5, 10, 20, 20]


def sd2_shapes() -> dict[str, tuple[int, ...]]:
    """Those of Stable Diffusion 2.1's UNet that tell its sizes."""
    levels = {f"down_blocks.{n}.resnets.0.conv1.weight": (width, 1) for n, width in enumerate((320, 640, 1280, 1280))}
    attention = {
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
        "mid_block.attentions.0.proj_in.weight": (1280, 1280),
    }
    return {**levels, **attention, "conv_in.weight": (320, 4), "conv_out.weight": (4, 320)}


def test_a_text_encoder_of_another_width_is_refused(folder: Path, tmp_path: Path) -> None:
    wide = {
        "embeddings.token_embedding.weight": torch.zeros(9, 768),
        "embeddings.position_embedding.weight": torch.zeros(77, 768),
        "encoder.layers.0.mlp.fc1.weight": torch.zeros(9, 768),
    }
    with pytest.raises(CheckpointError, match=r"is a text encoder 768 wide.*attends to 64"):
        opened(folder, text_encoder=written(wide, tmp_path / "clip.safetensors"))
    with pytest.raises(CheckpointError, match="is no text encoder"):
        opened(folder, text_encoder=written({"a": torch.zeros(1)}, tmp_path / "none.safetensors"))


def test_a_unet_alone_is_enough_where_the_others_are_given(
    folder: Path, other: Path, original: Tensors, tmp_path: Path
) -> None:
    path = written({name: each for name, each in original.items() if UNET in name}, tmp_path / "unet.safetensors")
    with pytest.raises(UnsupportedModelError, match="is a UNet alone") as caught:
        opened(path)
    assert "--text-encoder and --vae" in caught.value.hint
    assert_same(opened(path, text_encoder=folder, vae=other), folder, ("unet", "text_encoder"))
