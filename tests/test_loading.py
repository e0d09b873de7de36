"""Checkpoints of every layout and dtype against diffusers' own loading of the same files; damaged ones."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CHECKPOINT
from diffusers import AutoencoderKL, UNet2DConditionModel
from original_layout import to_original
from parity import check, reference_outputs
from reference_models import LIKE_SD15_WIDE, ReferenceModels, save_random
from safetensors.torch import load_file, save_file

from qnn_sd.errors import CheckpointError, QnnSdError, UnsupportedModelError
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

COMPONENTS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")
LATENT, SIZE = (8, 8), (64, 64)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model whose configs are Stable Diffusion 1.x's in what no tensor tells; a folder."""
    folder = tmp_path_factory.mktemp("checkpoint") / "folder"
    save_random(LIKE_SD15_WIDE, folder)
    return folder


def original(checkpoint: Path, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The folder's tensors as one file in Stable Diffusion's original layout."""
    save_file({name: tensor.to(dtype) for name, tensor in to_original(checkpoint).items()}, path)
    return path


def theirs(checkpoint: Path, file: Path) -> ReferenceModels:
    """The single file as diffusers loads it; the configs come from the folder, as offline they must."""
    models = ReferenceModels.load(checkpoint)
    # Another seed's weights must not pass for the file's.
    for model in (models.unet, models.vae):
        for parameter in model.parameters():
            parameter.data.zero_()
    models.unet = UNet2DConditionModel.from_single_file(str(file), config=str(checkpoint), subfolder="unet").eval()
    models.vae = AutoencoderKL.from_single_file(str(file), config=str(checkpoint), subfolder="vae").eval()
    prefix = "cond_stage_model.transformer."
    text = {n.removeprefix(prefix): t for n, t in load_file(file).items() if n.startswith(prefix)}
    known = models.text_encoder.state_dict()
    models.text_encoder.load_state_dict(
        {name: text[name if name in text else f"text_model.{name}"] for name in known if "position_ids" not in name}
    )
    for model in (models.unet, models.vae, models.text_encoder):
        model.to(torch.float32)
    return models


def match(models: ReferenceModels, opened: Checkpoint, folder: Path, components: Iterable[str] = COMPONENTS) -> None:
    """Every component at 70 dB or more."""
    outputs = reference_outputs(models, LATENT, {}, seed=5)
    for component in components:
        check(opened, component, SIZE, folder / component, outputs[component])


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_a_single_file_is_what_diffusers_makes_of_it(dtype: torch.dtype, checkpoint: Path, tmp_path: Path) -> None:
    file = original(checkpoint, tmp_path / "model.safetensors", dtype)
    opened = open_checkpoint(Sources(file))
    match(theirs(checkpoint, file), opened, tmp_path / "onnx")
    assert opened.scheduler["_class_name"] == "PNDMScheduler"
    assert not opened.is_lcm


def test_what_training_left_in_a_file_is_not_read(checkpoint: Path, tmp_path: Path) -> None:
    file = original(checkpoint, tmp_path / "model.safetensors")
    names = ("model_ema.decay", "alphas_cumprod", "first_stage_model.loss.logvar", "cond_stage_model.logit_scale")
    left = {name: torch.full((2,), float("nan")) for name in names}
    left["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file({**load_file(file), **left}, file)
    match(theirs(checkpoint, file), open_checkpoint(Sources(file)), tmp_path / "onnx")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_sharded_folders_are_read(dtype: torch.dtype, checkpoint: Path, tmp_path: Path) -> None:
    models = ReferenceModels.load(checkpoint)
    for part, model in (("unet", models.unet), ("vae", models.vae), ("text_encoder", models.text_encoder)):
        model.to(dtype).save_pretrained(tmp_path / part, max_shard_size="100KB")
        model.to(torch.float32)
        assert len(list((tmp_path / part).glob("*-of-*.safetensors"))) > 1
    match(models, open_checkpoint(Sources(tmp_path)), tmp_path / "onnx")


def test_the_fp16_variant_is_read_where_it_is_all_there_is(checkpoint: Path, tmp_path: Path) -> None:
    models = ReferenceModels.load(checkpoint)
    for part, model in (("unet", models.unet), ("vae", models.vae), ("text_encoder", models.text_encoder)):
        shards = {"max_shard_size": "300KB"} if part == "unet" else {}
        model.to(torch.float16).save_pretrained(tmp_path / part, variant="fp16", **shards)
        model.to(torch.float32)
    assert not (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").exists()
    match(models, open_checkpoint(Sources(tmp_path)), tmp_path / "onnx")


@pytest.fixture(scope="module")
def other_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same architecture, to take its VAE."""
    folder = tmp_path_factory.mktemp("other") / "folder"
    save_random(LIKE_SD15_WIDE, folder, seed=9)
    return folder


def bare_original_vae(folder: Path, path: Path) -> Path:
    prefix = "first_stage_model."
    tensors = {n.removeprefix(prefix): t for n, t in to_original(folder).items() if n.startswith(prefix)}
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    "given",
    [
        lambda other, _: other,
        lambda other, _: other / "vae",
        lambda other, _: other / "vae" / "diffusion_pytorch_model.safetensors",
        lambda other, folder: original(other, folder / "whole.safetensors"),
        lambda other, folder: bare_original_vae(other, folder / "vae.safetensors"),
    ],
    ids=["checkpoint", "folder", "diffusers-file", "single-file", "bare-original"],
)
def test_the_vae_is_replaced(
    given: Callable[[Path, Path], Path], checkpoint: Path, other_vae: Path, tmp_path: Path
) -> None:
    models = ReferenceModels.load(checkpoint)
    models.vae = ReferenceModels.load(other_vae).vae
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    shutil.rmtree(copy / "vae")  # what is replaced may be missing
    opened = open_checkpoint(Sources(copy, vae=given(other_vae, tmp_path)))
    match(models, opened, tmp_path / "onnx", ("vae_decoder", "vae_encoder"))


def test_reading_holds_one_tensor_at_a_time(tmp_path: Path) -> None:
    """Half-precision weights: a tensor's float32 copy is all that is in memory at once."""
    side, count = 512, 24
    path = tmp_path / "large.safetensors"
    save_file({f"t{number}": torch.ones(side, side, dtype=torch.float16) for number in range(count)}, path)
    one = 4 * side * side
    tracemalloc.start()
    file = SafetensorsFile(path)
    for name in file.shapes:
        assert file.read(name).sum() == side * side
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The copy, a mask of the finite values, and the previous copy until it is let go.
    assert peak < 2.5 * one < count * one / 8
    plain = tmp_path / "float.safetensors"
    save_file({"t": torch.ones(side, side)}, plain)
    tracemalloc.start()
    array = SafetensorsFile(plain).read("t")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < one / 10, "float32 is a view of the map"
    assert not array.flags.owndata


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A .safetensors file's bytes with whatever header is wanted."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\0\0\0\0", "too few for a header"),
        (raw({}, length=10_000_000_000), "10,000,000,000 bytes"),
        (raw({}, length=2**64 - 1), "Its header would have"),
        (raw(b"[1, 2"), "no JSON"),
        (raw(b"[1, 2]"), "no JSON object"),
        (raw(b"[" * 100_000), "no JSON"),
        (raw(b"\xff\xfe{}"), "no JSON"),
        (
            raw(b'{"a":' + json.dumps(entry(0, 4)).encode() + b',"a":' + json.dumps(entry(0, 4)).encode() + b"}"),
            "twice",
        ),
        (raw({"a": entry(0, 400)}, bytes(40)), "a would end at byte 400 of 40"),
        (raw({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "b overlaps"),
        (raw({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)), "4 bytes before b"),
        (raw({"a": entry(0, 8)}, bytes(12)), "4 bytes at its end"),
        (raw({"a": entry(0, 8, [3])}, bytes(8)), "a takes 12 bytes"),
        (raw({"a": entry(8, 0, [2])}, bytes(8)), "a takes 8 bytes"),
        (raw({"a": entry(-8, 0, [2])}, bytes(8)), "a has the offsets"),
        (raw({"a": entry(0, 8, [-1, -2])}, bytes(8)), "a has the shape"),
        (raw({"a": entry(0, 8, [True, 2])}, bytes(8)), "a has the shape"),
        (raw({"a": entry(0, 8, [2.0])}, bytes(8)), "a has the shape"),
        (raw({"a": entry(0, 8, [2**40, 2**40])}, bytes(8)), "a takes"),
        (raw({"a": entry(0, 8, dtype="F31")}, bytes(8)), "dtype 'F31'"),
        (raw({"a": entry(0, 8, dtype=None)}, bytes(8)), "dtype None"),  # type: ignore[arg-type]
        (raw({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)), "offsets None"),
        (raw({"a": 3}, bytes(8)), "is no object"),
        (raw({"__metadata__": ["a"]}), "__metadata__"),
    ],
)
def test_headers_that_lie_are_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="can't be read") as caught:
        SafetensorsFile(path)
    assert why in caught.value.why
    assert caught.value.hint


def test_the_largest_header_has_a_limit(tmp_path: Path) -> None:
    """A file that really is that long, without a byte of it on disk."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw(b"{", length=9_999_999_000))
    os.truncate(path, 10_000_000_000)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="can't be read"):
        SafetensorsFile(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_every_byte_of_a_header_can_be_wrong(tmp_path: Path) -> None:
    """Whatever bit flips in a header: the file is refused or read, never a crash."""
    path, damaged = tmp_path / "model.safetensors", tmp_path / "damaged.safetensors"
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16)}, path)
    content = path.read_bytes()
    for place in range(8 + int.from_bytes(content[:8], "little")):
        for bit in (1, 16, 128):
            changed = bytearray(content)
            changed[place] ^= bit
            damaged.write_bytes(changed)
            try:
                file = SafetensorsFile(damaged)
                for name in file.shapes:
                    file.read(name)
            except QnnSdError:
                continue


def changed_part(
    checkpoint: Path, tmp_path: Path, part: str, change: Callable[[dict[str, torch.Tensor]], None]
) -> Path:
    """A copy of a folder with a part's tensors changed."""
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    [path] = (copy / part).glob("*.safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return copy


@pytest.mark.parametrize("layout", ["folder", "single file"])
def test_nan_is_named_by_the_tensors_own_name(layout: str, checkpoint: Path, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["down_blocks.0.resnets.1.conv1.weight"][3, 1] = float("nan")

    folder = changed_part(checkpoint, tmp_path, "unet", spoil)
    name, path = r"down_blocks\.0\.resnets\.1\.conv1\.weight", folder
    if layout == "single file":
        name = r"model\.diffusion_model\.input_blocks\.2\.0\.in_layers\.2\.weight"
        path = original(folder, tmp_path / "model.safetensors")
    weights = open_checkpoint(Sources(path)).weights("unet")
    with pytest.raises(CheckpointError, match=f"^{name} in .* holds NaN"):
        weights.get("down_blocks.0.resnets.1.conv1.weight", (32, 32, 3, 3))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_missing_components_are_named(part: str, checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    shutil.rmtree(copy / part)
    with pytest.raises(CheckpointError, match=rf"{part}/config\.json is missing"):
        open_checkpoint(Sources(copy))
    prefix = {"unet": "model.diffusion_model", "vae": "first_stage_model", "text_encoder": "cond_stage_model"}[part]
    tensors = {n: t for n, t in to_original(checkpoint).items() if not n.startswith(prefix)}
    save_file(tensors, tmp_path / "model.safetensors")
    wanted = "is a VAE alone" if part == "unet" else f"has no {part}"
    with pytest.raises(QnnSdError, match=wanted):
        open_checkpoint(Sources(tmp_path / "model.safetensors"))


def index_of(folder: Path) -> Path:
    [path] = (folder / "unet").glob("*.index.json")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(weight_map={}), "has no weight_map"),
        (lambda index: index["weight_map"].update({"conv_in.bias": "../secret.safetensors"}), "secret"),
        (lambda index: index["weight_map"].update({"conv_in.bias": 3}), "names 3"),
        (lambda index: index["weight_map"].update({"conv_in.bias": "lost.safetensors"}), "lost.safetensors is missing"),
        (lambda index: index["weight_map"].update({"another.bias": "$first"}), "another.bias"),
        (lambda index: index["weight_map"].pop("conv_in.bias"), "conv_in.bias"),
    ],
)
def test_shards_and_index_must_agree(
    change: Callable[[dict[str, Any]], Any], message: str, checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    ReferenceModels.load(checkpoint).unet.save_pretrained(copy / "unet", max_shard_size="100KB")
    path = index_of(copy)
    first = sorted((copy / "unet").glob("*-of-*.safetensors"))[0].name
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index).replace("$first", first))
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(Sources(copy))
    assert message in str(caught.value)


def pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"conv_in.weight": [1.0]}))
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))
    return path


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin", "model.pth", "disguised.safetensors"])
@pytest.mark.parametrize("make", [pickled, zipped])
def test_pickles_are_refused_by_name_and_by_content(make: Callable[[Path], Path], name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name)
    for sources in (Sources(path), Sources(CHECKPOINT, vae=path), Sources(CHECKPOINT, loras=((path, 1.0),))):
        with pytest.raises(CheckpointError, match="is a pickle") as caught:
            open_checkpoint(sources)
        assert "runs whatever code is inside" in caught.value.why


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(CHECKPOINT, copy)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    with pytest.raises(CheckpointError, match="no weights in safetensors"):
        open_checkpoint(Sources(copy))
    pickled(weights.with_suffix(".bin"))
    with pytest.raises(CheckpointError, match="is a pickle"):
        open_checkpoint(Sources(copy))


def test_a_header_may_start_like_a_pickle(tmp_path: Path) -> None:
    """A header of 640 bytes starts with the bytes 80 02, as a pickle of protocol 2 does."""
    text = json.dumps({"a": entry(0, 4)}).encode().ljust(640)
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw(text, np.float32(7).tobytes()))
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert SafetensorsFile(path).read("a").tolist() == [7]


@pytest.mark.parametrize("length", [640, 641, 643])
def test_tensors_may_lie_at_any_byte(length: int, tmp_path: Path) -> None:
    """Writers pad the header to eight bytes, but the format doesn't ask for it."""
    header = {"a": entry(0, 8), "b": entry(8, 12, [2], "BF16"), "c": entry(12, 12, [0, 4])}
    data = np.array([7, -0.5], np.float32).tobytes() + bytes.fromhex("803f00c0")
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw(json.dumps(header).encode().ljust(length), data))
    file = SafetensorsFile(path)
    assert [file.read(name).tolist() for name in "abc"] == [[7, -0.5], [1, -2], []]


UNET = "model.diffusion_model."


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (
            {f"{UNET}label_emb.0.0.weight": (4,), "conditioner.embedders.1.model.ln_final.weight": (4,)},
            "SDXL checkpoint",
        ),
        ({f"{UNET}out.0.bias": (4,), "conditioner.embedders.0.model.ln_final.weight": (4,)}, "SDXL refiner"),
        ({f"{UNET}label_emb.0.0.weight": (4,)}, "UNet of SDXL's"),
        ({f"{UNET}out.0.bias": (4,), "cond_stage_model.model.ln_final.weight": (4,)}, "Stable Diffusion 2.x"),
        ({f"{UNET}joint_blocks.0.x_block.mlp.fc1.weight": (4,)}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (4,)}, "Flux"),
        ({"transformer_blocks.0.attn.to_q.weight": (4,)}, "diffusion transformer"),
        ({"control_model.input_hint_block.0.bias": (4,)}, "ControlNet"),
        ({"down_blocks.0.motion_modules.0.norm.bias": (4,)}, "AnimateDiff"),
        ({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (4, 4)}, "a LoRA"),
        ({"unet.mid_block.attentions.0.proj_in.lora_A.weight": (4, 4)}, "a LoRA"),
        ({"emb_params": (1, 768)}, "textual-inversion embedding"),
        ({"decoder.conv_in.weight": (4,)}, "VAE alone"),
        ({"down_blocks.0.resnets.0.conv1.bias": (4,)}, "UNet alone"),
        ({"text_model.final_layer_norm.bias": (4,)}, "text encoder alone"),
        ({"something.else": (4,)}, "no checkpoint that qnn-sd knows"),
        ({}, "no checkpoint that qnn-sd knows"),
    ],
)
def test_other_architectures_are_named(names: dict[str, tuple[int, ...]], what: str, tmp_path: Path) -> None:
    save_file({name: torch.zeros(shape) for name, shape in names.items()}, tmp_path / "model.safetensors")
    with pytest.raises(QnnSdError, match=what) as caught:
        open_checkpoint(Sources(tmp_path / "model.safetensors"))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("channels", "what"), [(9, "inpainting"), (8, "InstructPix2Pix"), (5, "depth-to-image"), (7, "upscaler")]
)
@pytest.mark.parametrize("layout", ["folder", "single file"])
def test_models_for_other_tasks_are_named(
    layout: str, channels: int, what: str, checkpoint: Path, tmp_path: Path
) -> None:
    def widen(tensors: dict[str, torch.Tensor]) -> None:
        tensors["conv_in.weight"] = torch.zeros(32, channels, 3, 3)

    copy = changed_part(checkpoint, tmp_path, "unet", widen)
    config = copy / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": channels}))
    path = copy if layout == "folder" else original(copy, tmp_path / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=what):
        open_checkpoint(Sources(path))


@pytest.mark.parametrize(
    ("pipeline", "what"),
    [
        ("StableDiffusionXLPipeline", "SDXL"),
        ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
        ("FluxPipeline", "Flux"),
        ("StableDiffusionInpaintPipeline", "inpainting"),
    ],
)
def test_other_pipelines_folders_are_named(pipeline: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    with pytest.raises(UnsupportedModelError, match=what):
        open_checkpoint(Sources(tmp_path))


def test_other_kinds_of_vae_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderTiny"}))
    with pytest.raises(UnsupportedModelError, match="AutoencoderTiny"):
        open_checkpoint(Sources(CHECKPOINT, vae=tmp_path))
    save_file({"conv_in.weight": torch.zeros(2)}, tmp_path / "unet.safetensors")
    with pytest.raises(CheckpointError, match="is no VAE"):
        open_checkpoint(Sources(CHECKPOINT, vae=tmp_path / "unet.safetensors"))


def test_a_single_file_of_another_size_is_named(checkpoint: Path, tmp_path: Path) -> None:
    tensors = to_original(checkpoint)
    del tensors[f"{UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"isn't Stable Diffusion 1\.x's") as caught:
        open_checkpoint(Sources(tmp_path / "model.safetensors"))
    assert "attn2.to_k.weight" in caught.value.why
    save_file({**to_original(checkpoint), f"{UNET}conv_in.bias": torch.zeros(32)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"two tensors for conv_in\.bias"):
        open_checkpoint(Sources(tmp_path / "model.safetensors"))
