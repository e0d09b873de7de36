"""LoRAs and their kin against references written in torch from the papers' formulas, and against peft's own merging."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from original_layout import to_original
from pydantic import ValidationError
from reference_models import LIKE_SD15_WIDE, ReferenceModels, save_random
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from qnn_sd.cli.like_sources import LikeSources
from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint, parse_lora
from qnn_sd.image_metadata import ImageDocument, ImageEmbedding, ImageLora, ImageSource

Tensors = dict[str, torch.Tensor]
RANK = 4
LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "down_blocks.0.resnets.0.conv1"
NORM = "down_blocks.0.resnets.0.norm1"
TEXT = "encoder.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapters") / "folder"
    save_random(LIKE_SD15_WIDE, path)
    return path


@pytest.fixture(scope="module")
def weights(folder: Path) -> Tensors:
    """The UNet's and the text encoder's tensors, without ``text_model.``."""
    found: Tensors = {}
    for part in ("unet", "text_encoder"):
        for path in (folder / part).glob("*.safetensors"):
            found |= {name.removeprefix("text_model."): tensor for name, tensor in load_file(path).items()}
    return found


def random(*shape: int, seed: int = 0, size: float = 0.3) -> torch.Tensor:
    return size * torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def merged(folder: Path, tmp_path: Path, tensors: Tensors, name: str, scale: float = 1.0) -> torch.Tensor:
    """A weight or bias with an adapter of these tensors merged."""
    path = tmp_path / "adapter.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return value(open_checkpoint(Sources(folder, loras=((path, scale),))), name)


def value(opened: Checkpoint, name: str) -> torch.Tensor:
    part = "text_encoder" if name.startswith(("encoder.", "embeddings.")) else "unet"
    source = opened.weights(part)
    spelled = name if source.has(name) else f"text_model.{name}"
    shape = opened._layout.parts[part].tensors[spelled].shape
    return torch.from_numpy(np.array(source.get(spelled, shape)))


def key(module: str, end: str) -> str:
    return f"lora_unet_{module.replace('.', '_')}.{end}"


@dataclass(frozen=True)
class Case:
    """An adapter of one module.

    Attributes:
        module: of the UNet.
        tensors: of the adapter for a weight.
        change: what is added to the weight at scale 1, by torch.
    """

    module: str
    tensors: Callable[[torch.Tensor], Tensors]
    change: Callable[[torch.Tensor, Tensors], torch.Tensor]


def kernel(weight: torch.Tensor) -> torch.Size:
    return weight.shape[2:]


def convolved(down: torch.Tensor, up: torch.Tensor, mid: torch.Tensor | None = None) -> torch.Tensor:
    """The one kernel that two or three convolutions in a row are, found by convolving impulses (Hu et al. 2021)."""
    size = (mid if mid is not None else down).shape[2:]
    inputs = down.shape[1]
    # An impulse in each input, far enough from the border to show the whole kernel.
    impulses = torch.zeros(inputs, inputs, *(2 * side - 1 for side in size))
    for channel in range(inputs):
        impulses[channel, channel, size[0] - 1, size[1] - 1] = 1
    out = F.conv2d(impulses, down)
    out = out if mid is None else F.conv2d(out, mid)
    return F.conv2d(out, up).flip(2, 3).transpose(0, 1)


def tucker(core: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
    """Mode products of a core with two matrices (Tucker 1966)."""
    return torch.einsum("ijkl,ip,jr->prkl", core, rows, cols).contiguous()


ALPHA = 2.0
CASES = {
    "LoRA": Case(
        LINEAR,
        lambda w: {"lora_down.weight": random(RANK, w.shape[1]), "lora_up.weight": random(w.shape[0], RANK)},
        lambda _w, t: t["lora_up.weight"] @ t["lora_down.weight"] * ALPHA / RANK,
    ),
    "LoCon": Case(
        CONV,
        lambda w: {
            "lora_down.weight": random(RANK, w.shape[1], *kernel(w)),
            "lora_up.weight": random(w.shape[0], RANK, 1, 1),
        },
        lambda _w, t: convolved(t["lora_down.weight"], t["lora_up.weight"]) * ALPHA / RANK,
    ),
    "LoCon with Tucker": Case(
        CONV,
        lambda w: {
            "lora_down.weight": random(RANK, w.shape[1], 1, 1),
            "lora_mid.weight": random(RANK, RANK, *kernel(w), seed=1),
            "lora_up.weight": random(w.shape[0], RANK, 1, 1),
        },
        lambda _w, t: convolved(t["lora_down.weight"], t["lora_up.weight"], t["lora_mid.weight"]) * ALPHA / RANK,
    ),
    "LoHa": Case(
        LINEAR,
        lambda w: {
            f"hada_w{n}_{side}": random(*shape, seed=n)
            for n in (1, 2)
            for side, shape in (("a", (w.shape[0], RANK)), ("b", (RANK, w.shape[1])))
        },
        lambda _w, t: (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"]) * ALPHA / RANK,
    ),
    "LoHa with Tucker": Case(
        CONV,
        lambda w: {
            f"hada_{name}": random(*shape, seed=n)
            for n in (1, 2)
            for name, shape in (
                (f"w{n}_a", (RANK, w.shape[0])),
                (f"w{n}_b", (RANK, w.shape[1])),
                (f"t{n}", (RANK, RANK, *kernel(w))),
            )
        },
        lambda _w, t: (
            tucker(t["hada_t1"], t["hada_w1_a"], t["hada_w1_b"])
            * tucker(t["hada_t2"], t["hada_w2_a"], t["hada_w2_b"])
            * ALPHA
            / RANK
        ),
    ),
    "LoKr whole": Case(
        LINEAR,
        lambda w: {"lokr_w1": random(4, 4), "lokr_w2": random(w.shape[0] // 4, w.shape[1] // 4)},
        lambda _w, t: torch.kron(t["lokr_w1"], t["lokr_w2"]),  # alpha counts for products alone
    ),
    "LoKr decomposed": Case(
        LINEAR,
        lambda w: {
            "lokr_w1_a": random(4, RANK),
            "lokr_w1_b": random(RANK, 4),
            "lokr_w2_a": random(w.shape[0] // 4, RANK),
            "lokr_w2_b": random(RANK, w.shape[1] // 4),
        },
        lambda _w, t: (
            torch.kron(t["lokr_w1_a"] @ t["lokr_w1_b"], t["lokr_w2_a"] @ t["lokr_w2_b"]) * ALPHA / RANK
        ),
    ),
    "LoKr of a kernel": Case(
        CONV,
        lambda w: {
            "lokr_w1": random(2, 4),
            "lokr_w2_a": random(w.shape[0] // 2, RANK),
            "lokr_w2_b": random(RANK, w.shape[1] // 4 * 9),
        },
        lambda w, t: (
            torch.kron(
                t["lokr_w1"][:, :, None, None],
                (t["lokr_w2_a"] @ t["lokr_w2_b"]).reshape(w.shape[0] // 2, w.shape[1] // 4, *kernel(w)),
            )
            * ALPHA
            / RANK
        ),
    ),
    "LoKr with Tucker": Case(
        CONV,
        lambda w: {
            "lokr_w1": random(4, 2),
            "lokr_w2_a": random(RANK, w.shape[0] // 4),
            "lokr_w2_b": random(RANK, w.shape[1] // 2),
            "lokr_t2": random(RANK, RANK, *kernel(w)),
        },
        lambda _w, t: (
            torch.kron(t["lokr_w1"][:, :, None, None], tucker(t["lokr_t2"], t["lokr_w2_a"], t["lokr_w2_b"]))
            * ALPHA
            / RANK
        ),
    ),
    "IA3 of outputs": Case(
        LINEAR,
        lambda w: {"weight": random(w.shape[0], 1), "on_input": torch.tensor(False)},
        lambda w, t: torch.diag(t["weight"].flatten()) @ w,
    ),
    "IA3 of inputs": Case(
        CONV,
        lambda w: {"weight": random(w.shape[1]), "on_input": torch.tensor(True)},
        lambda w, t: torch.einsum("oikl,i->oikl", w, t["weight"]),
    ),
    "whole difference": Case(CONV, lambda w: {"diff": random(*w.shape)}, lambda _w, t: t["diff"]),
    "norm": Case(NORM, lambda w: {"w_norm": random(*w.shape)}, lambda _w, t: t["w_norm"]),
}  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, -0.7])
@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_merged(name: str, scale: float, folder: Path, weights: Tensors, tmp_path: Path) -> None:
    case = CASES[name]
    weight = weights[f"{case.module}.weight"]
    tensors = case.tensors(weight)
    named = {key(case.module, end): tensor for end, tensor in tensors.items()}
    if weight.ndim > 1 and "diff" not in tensors:
        named[key(case.module, "alpha")] = torch.tensor(int(ALPHA))
    found = merged(folder, tmp_path, named, f"{case.module}.weight", scale)
    torch.testing.assert_close(found, weight + scale * case.change(weight, tensors))
    assert (found - weight).abs().max() > 0.01


@pytest.mark.parametrize("of_rows", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize("name", ["LoRA", "LoCon", "LoHa", "LoKr decomposed"])
def test_weights_have_doras_lengths(
    name: str, scale: float, of_rows: bool, folder: Path, weights: Tensors, tmp_path: Path
) -> None:
    """Liu et al. 2024, equation 5; of columns as the paper's, of rows as peft's. A scale goes part of the way."""
    case = CASES[name]
    weight = weights[f"{case.module}.weight"]
    tensors = case.tensors(weight)
    lengths = (weight.shape[0] if of_rows else weight.shape[1],)
    shape = [*lengths, *[1] * (weight.ndim - 1)] if of_rows else [1, *lengths, *[1] * (weight.ndim - 2)]
    magnitude = 1 + random(*shape).abs()
    named = {key(case.module, end): tensor for end, tensor in tensors.items()}
    named |= {key(case.module, "alpha"): torch.tensor(ALPHA), key(case.module, "dora_scale"): magnitude}
    found = merged(folder, tmp_path, named, f"{case.module}.weight", scale)
    directed = weight + case.change(weight, tensors)
    matrix = directed if of_rows else directed.transpose(0, 1)
    unit = F.normalize(matrix.flatten(1), dim=1).reshape(matrix.shape)
    unit = unit if of_rows else unit.transpose(0, 1)
    torch.testing.assert_close(found, weight + scale * (magnitude * unit - weight))


@pytest.mark.parametrize(("end", "factor"), [("diff_b", 1.0), ("lora_B.bias", ALPHA / RANK)])
def test_biases_are_merged(end: str, factor: float, folder: Path, weights: Tensors, tmp_path: Path) -> None:
    weight, bias = weights[f"{CONV}.weight"], weights[f"{CONV}.bias"]
    change = random(*bias.shape)
    tensors = {key(CONV, each): tensor for each, tensor in CASES["LoCon"].tensors(weight).items()}
    tensors |= {key(CONV, "alpha"): torch.tensor(ALPHA), key(CONV, end): change}
    torch.testing.assert_close(merged(folder, tmp_path, tensors, f"{CONV}.bias", 0.5), bias + 0.5 * factor * change)


def test_a_norms_bias_is_merged(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    change = random(32)
    tensors = {key(NORM, "w_norm"): random(32, seed=1), key(NORM, "b_norm"): change}
    torch.testing.assert_close(merged(folder, tmp_path, tensors, f"{NORM}.bias"), weights[f"{NORM}.bias"] + change)


def test_several_of_different_kinds_follow_each_other(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    weight = weights[f"{LINEAR}.weight"]
    expected, loras = weight, []
    for name, scale in (("LoHa", 0.5), ("IA3 of outputs", 1.0), ("LoRA", -0.3)):
        tensors = CASES[name].tensors(weight)
        path = tmp_path / f"{name}.safetensors"
        save_file({key(LINEAR, end): tensor for end, tensor in tensors.items()}, path)
        # None of the three says an alpha: it is the rank.
        change = CASES[name].change(expected, tensors) * (RANK / ALPHA if "IA3" not in name else 1)
        expected = expected + scale * change
        loras.append((path, scale))
    found = value(open_checkpoint(Sources(folder, loras=tuple(loras))), f"{LINEAR}.weight")
    torch.testing.assert_close(found, expected)


# Names.

SPELLINGS = {
    "kohya": f"lora_unet_{LINEAR.replace('.', '_')}",
    "LyCORIS": f"lycoris_{LINEAR.replace('.', '_')}",
    "diffusers": f"unet.{LINEAR}",
    "peft": f"base_model.model.{LINEAR}",
    "peft in diffusers": f"base_model.model.unet.{LINEAR}",
    "transformer": f"transformer.{LINEAR}",
    "bare": LINEAR,
    "original": "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k",
    "kohya, original": "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k",
    "whole original": "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k",
    "compiled": f"unet._orig_mod.{LINEAR}",
    "state dict of several processes": f"state_dict.module.unet.{LINEAR}",
}
TEXT_SPELLINGS = {
    "kohya": f"lora_te_text_model_{TEXT.replace('.', '_')}",
    "kohya's of SDXL": f"lora_te1_text_model_{TEXT.replace('.', '_')}",
    "kohya without text_model": f"lora_te_{TEXT.replace('.', '_')}",
    "diffusers": f"text_encoder.text_model.{TEXT}",
    "transformers 5": f"text_encoder.{TEXT}",
    "peft": f"base_model.model.text_model.{TEXT}",
    "whole original": f"cond_stage_model.transformer.text_model.{TEXT}",
    "ComfyUI": f"text_encoders.clip_l.transformer.text_model.{TEXT}",
}
ENDS = (
    ("lora_down.weight", "lora_up.weight"),
    ("lora_A.weight", "lora_B.weight"),
    ("lora_A.default.weight", "lora_B.default.weight"),
    ("lora_A", "lora_B"),
)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(
    ("module", "spelled"),
    [*((LINEAR, each) for each in SPELLINGS.values()), *((TEXT, each) for each in TEXT_SPELLINGS.values())],
    ids=[*(f"unet, {name}" for name in SPELLINGS), *(f"text, {name}" for name in TEXT_SPELLINGS)],
)
def test_a_prefix_decides_nothing(
    module: str, spelled: str, ends: tuple[str, str], folder: Path, weights: Tensors, tmp_path: Path
) -> None:
    weight = weights[f"{module}.weight"]
    down, up = random(RANK, weight.shape[1]), random(weight.shape[0], RANK)
    found = merged(folder, tmp_path, {f"{spelled}.{ends[0]}": down, f"{spelled}.{ends[1]}": up}, f"{module}.weight")
    torch.testing.assert_close(found, weight + up @ down)


def test_every_module_of_the_original_code_is_found(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    """By a table that was written out block by block, and not by the package's rules."""
    prefix = "model.diffusion_model."
    former = {name: tensor for name, tensor in to_original(folder).items() if name.startswith(prefix)}
    tensors = {
        f"lora_unet_{name.removeprefix(prefix).removesuffix('.weight').replace('.', '_')}.diff": torch.ones_like(tensor)
        for name, tensor in former.items()
        if name.endswith(".weight")
    }
    path = tmp_path / "adapter.safetensors"
    save_file(tensors, path)
    opened = open_checkpoint(Sources(folder, loras=((path, 1.0),)))
    names = [name for name in opened._layout.parts["unet"].tensors if name.endswith(".weight")]
    assert len(names) == len(tensors)
    for name in names:
        torch.testing.assert_close(value(opened, name), weights[name] + 1)


def test_a_vaes_module_is_not_taken_for_the_unets(folder: Path, tmp_path: Path) -> None:
    tensors = {"lora_vae_decoder_conv_in.lora_down.weight": random(4, 4, 3, 3), **lora(LINEAR)}
    with pytest.raises(CheckpointError, match="1 of 3 tensors that match nothing"):
        merged(folder, tmp_path, tensors, f"{LINEAR}.weight")


def lora(module: str, prefix: str = "lora_unet_") -> Tensors:
    flat = f"{prefix}{module.replace('.', '_')}"
    return {f"{flat}.lora_down.weight": random(RANK, 64), f"{flat}.lora_up.weight": random(32, RANK)}


def test_spare_tensors_of_a_lora_are_named(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    path, said = tmp_path / "adapter.safetensors", []
    save_file({**lora(LINEAR), "epoch": torch.tensor(3)}, path)
    open_checkpoint(Sources(folder, loras=((path, 1.0),)), say=said.append)
    assert said == ["adapter.safetensors has 1 tensor (epoch) that no weight needs"]


def test_a_lora_for_another_prediction_is_said(folder: Path, tmp_path: Path) -> None:
    path, said = tmp_path / "adapter.safetensors", []
    save_file(lora(LINEAR), path, {"ss_v_parameterization": "True", "epoch": "3"})
    open_checkpoint(Sources(folder, loras=((path, 1.0),)), say=said.append)
    assert len(said) == 1
    assert "was trained for predicting v, not epsilon" in said[0]


# Folders, as peft and diffusers write them.

CONFIGS = {
    "LoRA": peft.LoraConfig(r=RANK, lora_alpha=3, target_modules=["to_k", "conv1"], init_lora_weights=False),
    "patterns": peft.LoraConfig(
        r=RANK, lora_alpha=3, target_modules=["to_k", "conv1"], init_lora_weights=False,
        rank_pattern={"attn1.to_k": 2}, alpha_pattern={"attn2.to_k": 7},
    ),
    "expressions": peft.LoraConfig(
        r=RANK, lora_alpha=3, target_modules=["to_k", "to_q"], init_lora_weights=False,
        alpha_pattern={r".*attn2\.to_(k|v)": 7, r"down_blocks\.\d\..*to_q": 5, "^mid_block": 8},
    ),
    "rank-stabilized": peft.LoraConfig(
        r=RANK, lora_alpha=3, target_modules=["to_k"], init_lora_weights=False, use_rslora=True
    ),
    "DoRA": peft.LoraConfig(
        r=RANK, lora_alpha=3, target_modules=["to_k", "conv1"], init_lora_weights=False, use_dora=True
    ),
    "LoHa": peft.LoHaConfig(
        r=RANK, alpha=3, target_modules=["to_k", "conv1"], init_weights=False, use_effective_conv2d=True
    ),
    "LoKr": peft.LoKrConfig(
        r=2, alpha=3, target_modules=["to_k", "conv1"], init_weights=False, use_effective_conv2d=True,
        decompose_both=True,
    ),
    "LoKr of whole factors": peft.LoKrConfig(
        r=64, alpha=3, target_modules=["to_k", "conv1"], init_weights=False, rank_pattern={"attn1.to_k": 128}
    ),
    "IA3": peft.IA3Config(
        target_modules=["to_k", "to_q", "conv1"], feedforward_modules=["to_q"], init_ia3_weights=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_peft_saves_is_what_peft_merges(kind: str, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = peft.get_peft_model(ReferenceModels.load(folder).unet, CONFIGS[kind])
    for name, parameter in model.named_parameters():
        if "ia3_l" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
        elif any(word in name for word in ("lora_A", "lora_B", "hada", "lokr")):
            parameter.data = 0.2 * torch.randn_like(parameter)
        elif "magnitude" in name:
            parameter.data *= 1.3
    model.save_pretrained(tmp_path / "adapter")
    [config] = model.peft_config.values()
    theirs = model.merge_and_unload().state_dict()
    opened = open_checkpoint(Sources(folder, loras=(parse_lora(str(tmp_path / "adapter")),)))
    plain = open_checkpoint(Sources(folder))
    changed = 0
    for name in opened._loras[0].deltas["unet"]:
        torch.testing.assert_close(value(opened, name), theirs[name], rtol=1e-4, atol=1e-5)
        changed += not torch.equal(value(plain, name), theirs[name])
    assert changed == len(opened._loras[0].deltas["unet"]) > 10
    assert config.peft_type.value in kind.upper() or kind not in ("LoHa", "LoKr", "IA3")
    assert set(opened.files("unet")) - set(plain.files("unet")) == {
        "lora/0/adapter_model.safetensors", "lora/0/adapter_config.json",
    }  # fmt: skip


def test_the_config_beside_a_file_counts_and_is_part_of_what_it_is(
    folder: Path, weights: Tensors, tmp_path: Path
) -> None:
    path = tmp_path / "adapter_model.safetensors"
    save_file(lora(LINEAR), path)
    hashes = set()
    for alpha in (RANK, 1):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": alpha}))
        opened = open_checkpoint(Sources(folder, loras=((path, 1.0),)))
        change = lora(LINEAR)[key(LINEAR, "lora_up.weight")] @ lora(LINEAR)[key(LINEAR, "lora_down.weight")]
        weight = weights[f"{LINEAR}.weight"]
        torch.testing.assert_close(value(opened, f"{LINEAR}.weight"), weight + change * alpha / RANK)
        [made] = opened.identity().loras
        hashes.add(made.sha256)
    assert len(hashes) == 2
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "OFT"}))
    with pytest.raises(UnsupportedModelError, match="kind OFT"):
        open_checkpoint(Sources(folder, loras=((path, 1.0),)))


@pytest.mark.parametrize(
    "name",
    [
        f"base_model.model.{CONV}.weight",
        f"base_model.model.{CONV}.bias",
        f"base_model.model.{CONV}.modules_to_save.default.weight",
    ],
)
def test_whole_weights_beside_an_adapter_are_not_passed_over(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"has 1 tensor .* beside its adapter"):
        merged(folder, tmp_path, {**lora(LINEAR), name: torch.zeros(32)}, f"{LINEAR}.weight")


@pytest.mark.parametrize(("key", "said"), [("init_lora_weights", "pissa_niter_4"), ("layer_replication", [[0, 2]])])
def test_an_adapter_of_a_changed_base_is_refused(key: str, said: object, folder: Path, tmp_path: Path) -> None:
    save_file(lora(LINEAR), tmp_path / "adapter_model.safetensors")
    for value, refused in ((said, True), (None, False)):
        config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, key: value}
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        if refused:
            with pytest.raises(UnsupportedModelError, match="for a changed base"):
                open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))
        else:
            open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"base_model.model.{LINEAR}.lora_E", "an AdaLoRA"),
        (f"base_model.model.{LINEAR}.hra_u", "an HRA"),
        (f"lora_unet_{LINEAR.replace('.', '_')}.scalar", "learned scalars"),
        ("base_model.model.embeddings.token_embedding.token_adapter.trainable_tokens_delta", "trained tokens"),
        ("unet:0:up", "numbered layers"),
    ],
)
def test_what_changes_a_weight_and_is_not_merged_is_refused(name: str, kind: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=kind):
        merged(folder, tmp_path, {**lora(LINEAR), name: torch.zeros(RANK, 1)}, f"{LINEAR}.weight")


def test_two_adapters_in_one_file_are_refused(folder: Path, tmp_path: Path) -> None:
    """As in the state dict of a model with two of peft's adapters: the last one would win, without a word."""
    shapes = {"A": (RANK, 64), "B": (32, RANK)}
    one = {
        f"unet.{LINEAR}.lora_{end}.{name}.weight": torch.zeros(shape)
        for end, shape in shapes.items()
        for name in ("ink", "oil")
    }
    with pytest.raises(CheckpointError, match=r"two tensors for one place: .*lora_A\.ink\.weight and"):
        merged(folder, tmp_path, one, f"{LINEAR}.weight")


def test_the_config_in_a_folder_is_of_its_only_file(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    save_file(lora(LINEAR), tmp_path / "ink.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 1}))
    change = lora(LINEAR)[key(LINEAR, "lora_up.weight")] @ lora(LINEAR)[key(LINEAR, "lora_down.weight")]
    found = value(open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),))), f"{LINEAR}.weight")
    torch.testing.assert_close(found, weights[f"{LINEAR}.weight"] + change / RANK)


def test_what_a_folder_hides_is_no_lora(folder: Path, tmp_path: Path) -> None:
    save_file(lora(LINEAR), tmp_path / "ink.safetensors")
    (tmp_path / "._ink.safetensors").write_bytes(b"\x00\x05\x16\x07" + bytes(40))
    assert open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))._loras[0].deltas["unet"]
    (tmp_path / "trained" / "checkpoint-500").mkdir(parents=True)
    shutil.copy(tmp_path / "ink.safetensors", tmp_path / "trained" / "checkpoint-500" / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="folder of LoRAs' folders") as caught:
        open_checkpoint(Sources(folder, loras=((tmp_path / "trained", 1.0),)))
    assert caught.value.hint == f"Choose one: --lora {tmp_path / 'trained' / 'checkpoint-500'}."


def test_pickles_in_a_loras_folder_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x02}")
    for sources in (Sources(folder, loras=((tmp_path, 1.0),)), Sources(folder, embeddings=((None, tmp_path),))):
        with pytest.raises(CheckpointError, match=r"adapter_model\.bin is a pickle"):
            open_checkpoint(sources)


def test_folders_of_loras(folder: Path, tmp_path: Path) -> None:
    save_file(lora(LINEAR), tmp_path / "ink.safetensors")
    [made] = open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),))).identity().loras
    assert (made.name, made.kind) == (tmp_path.name, "folder")
    save_file(lora(LINEAR), tmp_path / "oil.safetensors")
    with pytest.raises(CheckpointError, match="a folder with several LoRAs") as caught:
        open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))
    assert "ink.safetensors" in caught.value.hint
    save_file(lora(LINEAR), tmp_path / "pytorch_lora_weights.safetensors")
    opened = open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))
    assert opened.files("unet")["lora/0"] == tmp_path / "pytorch_lora_weights.safetensors"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="a folder with no LoRA"):
        open_checkpoint(Sources(folder, loras=((tmp_path / "empty", 1.0),)))


def test_a_trainers_folder_with_an_adapter_a_network(folder: Path, weights: Tensors, tmp_path: Path) -> None:
    for part, module, width in (("unet", LINEAR, (32, 64)), ("text_encoder", TEXT, (64, 64))):
        (tmp_path / part).mkdir()
        tensors = {
            f"base_model.model.{module}.lora_A.weight": random(RANK, width[1]),
            f"base_model.model.{module}.lora_B.weight": random(width[0], RANK),
        }
        save_file(tensors, tmp_path / part / "adapter_model.safetensors")
    opened = open_checkpoint(Sources(folder, loras=((tmp_path, 1.0),)))
    for module in (LINEAR, TEXT):
        weight = weights[f"{module}.weight"]
        change = random(weight.shape[0], RANK) @ random(RANK, weight.shape[1])
        torch.testing.assert_close(value(opened, f"{module}.weight"), weight + change)


# Embeddings that a LoRA brings along.


@pytest.mark.parametrize("end", ["string_to_param.*", "emb_params", "clip_l"])
def test_bundled_embeddings_can_be_called(end: str, folder: Path, tmp_path: Path) -> None:
    path, said = tmp_path / "bundle.safetensors", []
    vectors = random(2, 64)
    save_file({**lora(LINEAR), f"bundle_emb.mychar.{end}": vectors, "bundle_emb.xl.emb_params": random(2, 32)}, path)
    opened = open_checkpoint(
        Sources(folder, loras=((path, 1.0),), tokenizer=Path("assets/tiny-sd/tokenizer").resolve()), say=said.append
    )
    assert opened.config("text_encoder")["vocab_size"] == LIKE_SD15_WIDE.text["vocab_size"] + 2
    table = value_of_table(opened)
    np.testing.assert_array_equal(table[-2:], vectors.numpy())
    assert any("mychar" in line for line in said)
    assert any("the embedding xl in bundle.safetensors is left out" in line for line in said)
    assert path in opened.files("text_encoder").values()
    assert opened.identity().embeddings == ()


def test_of_embeddings_with_one_name_one_counts_and_it_is_said(folder: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in ("ink", "oil", "mine")]
    vectors = [random(1, 64) for _ in paths]
    for path, vector, name in zip(paths[:2], vectors, ("mychar", "MyChar"), strict=False):
        save_file({**lora(LINEAR), f"bundle_emb.{name}.emb_params": vector}, path)
    save_file({"mychar": vectors[2]}, paths[2])
    ink, oil, mine = paths
    brings = "brings embeddings along, which a prompt calls by their names, unless those are words of the tokenizer"
    for loras, embeddings, counts, expected in (
        ((ink, oil), (), 0, [f"ink.safetensors {brings}: mychar", "MyChar in oil.safetensors: ink.safetensors"]),
        ((oil, ink), (), 1, [f"oil.safetensors {brings}: MyChar", "mychar in ink.safetensors: oil.safetensors"]),
        ((ink,), (mine,), 2, ["mychar in ink.safetensors: mine.safetensors (--embedding)"]),
        ((ink, ink), (), 0, [f"ink.safetensors {brings}: mychar"]),
    ):
        said: list[str] = []
        sources = Sources(
            folder,
            loras=tuple((each, 1.0) for each in loras),
            embeddings=tuple((None, each) for each in embeddings),
            tokenizer=Path("assets/tiny-sd/tokenizer").resolve(),
        )
        opened = open_checkpoint(sources, say=said.append)
        found = [re.sub("^the embedding (.*) is left out: the one in (.*) is used$", r"\1: \2", line) for line in said]
        assert [line for line in found if "char" in line.lower()] == expected
        [row] = next(rows for name, rows in opened.added_tokens.items() if name.lower() == "mychar")
        np.testing.assert_array_equal(value_of_table(opened)[row], vectors[counts][0].numpy())


def value_of_table(opened: Checkpoint) -> np.ndarray:
    source, name = opened.weights("text_encoder"), "embeddings.token_embedding.weight"
    name = name if source.has(name) else f"text_model.{name}"
    return source.get(name, (opened.config("text_encoder")["vocab_size"], 64))


# An image that was made with such files finds them again.


def test_folders_and_text_encoders_are_found_by_their_hashes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ink").mkdir()
    save_file(lora(LINEAR), tmp_path / "ink" / "adapter_model.safetensors")
    config = tmp_path / "ink" / "adapter_config.json"
    config.write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 2}))
    text = Path(shutil.copytree(folder / "text_encoder", tmp_path / "clip"))
    sources = Sources(folder, loras=(("ink", 0.5),), text_encoder=text, prediction="v")
    identity = open_checkpoint(sources).identity()
    assert identity.text_encoder is not None
    made = ImageDocument.model_construct(
        checkpoint=ImageSource(name="owner/name", kind="hub", sha256="0" * 64),
        vae=identity.vae,
        text_encoder=identity.text_encoder,
        loras=list(identity.loras),
        embeddings=[ImageEmbedding(name="<cat>", file="owner/cat", kind="hub", sha256="0" * 64)],
    )
    typed = {"checkpoint": None, "vae": None, "text_encoder": None, "lora": (), "embedding": ()}
    found = LikeSources(tmp_path / "image.png", made).options(typed)
    assert found == {
        "checkpoint": "owner/name",
        "text_encoder": str(tmp_path / "clip"),
        "lora": (f"{tmp_path / 'ink'}:0.5",),
        "embedding": ("<cat>=owner/cat",),
    }
    again = LikeSources(tmp_path / "image.png", made).options({**typed, "lora": ("ink:0.25",)})
    assert again["lora"] == ("ink:0.25",)
    config.write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 4}))
    with pytest.raises(CheckpointError, match="was made with the LoRA ink"):
        LikeSources(tmp_path / "image.png", made).options(typed)
    for kind, name in (("hub", "../secret"), ("folder", "a/b")):
        with pytest.raises(ValidationError):
            ImageLora(name=name, kind=kind, sha256="0" * 64, tensors_sha256="0" * 64, scale=1.0)
