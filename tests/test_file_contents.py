"""What a file holds: numbers of every format, and files that are no weights at all, each called what it is."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import CHECKPOINT

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 2132650982\n"
NUMBERS = np.array([0, 1.5, -0.25, 2, -448, 0.015625], np.float32)


def stored(path: Path, tensors: dict[str, tuple[str, np.ndarray]], metadata: object = None) -> Path:
    """A .safetensors file with these dtypes and values."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (dtype, array) in tensors.items():
        content = array.tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("F64", np.float64),
        ("F32", np.float32),
        ("F16", np.float16),
        ("BF16", ml_dtypes.bfloat16),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz),
    ],
)
def test_numbers_of_every_format_are_read_exactly(dtype: str, kind: Any, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.safetensors", {"a": (dtype, NUMBERS.astype(kind))})
    found = SafetensorsFile(path).read("a")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, NUMBERS.astype(kind).astype(np.float32))
    # 448 is even for three bits of mantissa, and is rounded for two.
    assert found[4] == (-448 if "E5M2" not in dtype else found[4])


@pytest.mark.parametrize(
    ("dtype", "value"), [("F64", 1e300), ("F16", np.inf), ("F8_E4M3", np.nan), ("F8_E5M2", np.inf)]
)
def test_what_is_not_finite_is_named(dtype: str, value: float, tmp_path: Path) -> None:
    kinds = {"F64": np.float64, "F16": np.float16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
    path = stored(tmp_path / "a.safetensors", {"a": (dtype, np.array([1, value]).astype(kinds[dtype]))})
    with pytest.raises(CheckpointError, match=r"a in .* holds NaN or infinity"):
        SafetensorsFile(path).read("a")


def test_a_single_number_may_be_whole_and_weights_may_not(tmp_path: Path) -> None:
    kinds = {f"{sign}{bits}": f"{sign.lower()}{bits // 8}" for sign in "IU" for bits in (8, 16, 32, 64)}
    tensors = {dtype: (dtype, np.array(4, kind)) for dtype, kind in kinds.items()}
    tensors |= {"yes": ("BOOL", np.array(True)), "two": ("F32", np.zeros(2, np.float32))}
    file = SafetensorsFile(stored(tmp_path / "a.safetensors", tensors))
    assert [file.read_number(dtype) for dtype in kinds] == [4] * len(kinds)
    assert file.read_number("yes") == 1
    with pytest.raises(CheckpointError, match=r"two in .* has 2 values"):
        file.read_number("two")
    with pytest.raises(CheckpointError, match=r"I8 in .* is I8"):
        file.read("I8")


def test_a_format_that_is_not_read_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    header = json.dumps({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(CheckpointError, match="can't be read") as caught:
        SafetensorsFile(path)
    assert caught.value.hint == "Get the model in fp16 or fp32."


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scaled_fp8", "in scaled fp8"),
        ("model.diffusion_model.out.2.scale_weight", "in scaled fp8"),
        ("model.diffusion_model.out.2.weight_scale", "with a scale beside each weight"),
        ("model.diffusion_model.out.2.weight.absmax", "by bitsandbytes"),
        ("model.diffusion_model.out.2.weight.quant_state.bitsandbytes__nf4", "by bitsandbytes"),
        ("text_model.encoder.layers.0.mlp.fc1.qweight", "by GPTQ or AWQ"),
    ],
)
def test_quantized_checkpoints_are_refused_by_name(name: str, kind: str, tmp_path: Path) -> None:
    tensors = {
        each: ("F32", np.zeros(1, np.float32))
        for each in (name, "decoder.conv_in.weight", "model.diffusion_model.input_blocks.0.0.weight")
    }
    path = stored(tmp_path / "model.safetensors", tensors)
    for sources in (Sources(path), Sources(CHECKPOINT, vae=path), Sources(CHECKPOINT, loras=((path, 1.0),))):
        with pytest.raises(UnsupportedModelError, match=kind) as caught:
            open_checkpoint(sources)
        assert name in caught.value.why


def test_metadata_with_numbers_is_read_as_text(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.safetensors", {"a": ("F32", NUMBERS)}, {"epoch": 3, "of": {"a": 1}, "format": "pt"})
    file = SafetensorsFile(path)
    assert file.metadata == {"epoch": "3", "of": '{"a": 1}', "format": "pt"}
    assert "epoch, of" in (file.remark or "")


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(name, b"content")
    return content.getvalue()


CONTENTS: dict[str, tuple[bytes, str, str]] = {
    "pointer": (POINTER, "is a Git LFS pointer", "git lfs pull"),
    "page": (b"<!DOCTYPE html><html><title>Sign in</title>" + b" " * 300, "web page", "Log in"),
    "page with a byte order mark": (b"\xef\xbb\xbf\n<html>", "web page", "licence"),
    "server's XML": (b"<?xml version='1.0'?><Error>AccessDenied", "web page", "Log in"),
    "empty": (b"", "is empty", "Download or copy it again"),
    "answer": (b'{"error": "Access to model is restricted"}', "is JSON text", "Log in"),
    "text": (b"Entry not found", "is text", "download the file again"),
    "index": (b'{"weight_map": {"a": "b"}}', "index of sharded weights", "Give the folder"),
    "config": (b'{"_class_name": "UNet"}', "is a config", "Give the folder"),
    "zip": (zipped("model.safetensors"), "is a zip archive", "Unpack it"),
    "pickle": (zipped("archive/data.pkl"), "is a pickle", "Download the .safetensors"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(40), "is a GGUF model", "fp16 or fp32"),
    "ONNX": (b"\x08\x09\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model", "exported from"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "is a 7z archive", "Unpack it"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a PNG image", ".safetensors"),
    "git-annex": (b"/annex/objects/SHA256E-s2132650982--0.safetensors\n", "is a git-annex pointer", "git annex get"),
    "old pointer": (POINTER.replace(b"git-lfs", b"hawser"), "is a Git LFS pointer", "git lfs pull"),
    "part of a page": (b'<div class="error">Not found</div>', "web page", "Log in"),
    "settings": (b"[section]\nkey=1\n", "is text", "download the file again"),
    "link of Windows": (b"[InternetShortcut]\r\nURL=https://x/y\r\n", "is a link to a web page", "the file itself"),
    "companion of macOS": (b"\x00\x05\x16\x07" + bytes(40), "macOS", "the file itself"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "is a tar archive", "Unpack it"),
    "zeros": (bytes(5000), "It begins with zeros|is no safetensors file", "Download or copy it again"),
    "something": (bytes(range(1, 200)), "is no safetensors file", "Get the model's .safetensors"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_what_is_no_checkpoint_is_called_what_it_is(case: str, tmp_path: Path) -> None:
    content, what, cure = CONTENTS[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for sources in (
        Sources(path),
        Sources(CHECKPOINT, vae=path),
        Sources(CHECKPOINT, text_encoder=path),
        Sources(CHECKPOINT, loras=((path, 1.0),)),
        Sources(CHECKPOINT, embeddings=((None, path),)),
    ):
        with pytest.raises(CheckpointError, match=what) as caught:
            open_checkpoint(sources)
        assert cure in caught.value.hint


def test_a_safetensors_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    path = stored(tmp_path / "model.ckpt", {"a": ("F32", NUMBERS)})
    np.testing.assert_array_equal(SafetensorsFile(path).read("a"), NUMBERS)


def test_a_file_that_was_not_downloaded_to_its_end_is_named(tmp_path: Path) -> None:
    """Room was made for all of it: its size is right."""
    zeros = np.zeros(1 << 20, np.float32)
    assert SafetensorsFile(stored(tmp_path / "a.safetensors", {"a": ("F32", zeros)})).remark is None
    path = stored(tmp_path / "b.safetensors", {"a": ("F32", NUMBERS), "b": ("F32", zeros)})
    assert SafetensorsFile(path).remark == "b.safetensors ends in 4 MiB of zeros, as a download that was broken off"
    whole = stored(tmp_path / "c.safetensors", {"b": ("F32", zeros), "a": ("F32", NUMBERS)})
    assert SafetensorsFile(whole).remark is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    try:
        os.write(pipe, bytes(range(100)))
        with pytest.raises(CheckpointError, match="is no file"):
            SafetensorsFile(path)
    finally:
        os.close(pipe)


# What a file is, by its tensors, after whichever option it is given: the tensor that tells it, and what is told.
KINDS = {
    "VAE": ("decoder.conv_in.weight", "a VAE alone", "--vae"),
    "VAE of diffusers": ("vae.decoder.up_blocks.0.resnets.0.conv1.weight", "a VAE alone", "--vae"),
    "UNet": ("input_blocks.1.0.in_layers.0.weight", "a UNet alone", "--checkpoint"),
    "text encoder": ("text_encoder.text_model.embeddings.token_embedding.weight", "a text encoder", "--text-encoder"),
    "LoRA": ("lora_unet_x.lora_down.weight", "a LoRA", "--lora"),
    "embedding": ("emb_params", "a textual-inversion embedding", "--embedding"),
    "SDXL": ("add_embedding.linear_1.weight", "SDXL", None),
    "Flux": ("double_blocks.0.img_attn.qkv.weight", "a Flux checkpoint", None),
    "ControlNet": ("control_model.zero_convs.0.0.weight", "a ControlNet", None),
    "IP-Adapter": ("ip_adapter.1.to_k_ip.weight", "an IP-Adapter", None),
    "T2I-Adapter": ("adapter.body.0.resnets.0.block1.weight", "a T2I-Adapter", None),
    "upscaler": ("model.1.sub.0.RDB1.conv1.0.weight", "an upscaler", None),
    "TAESD": ("decoder.layers.0.weight", "TAESD", None),
    "OpenCLIP": ("transformer.resblocks.0.ln_1.weight", "OpenCLIP's text encoder", None),
    "T5": ("encoder.block.0.layer.0.SelfAttention.q.weight", "a T5 text encoder", None),
    "image encoder": ("vision_model.embeddings.class_embedding", "CLIP's image encoder", None),
    "motion module": ("down_blocks.0.motion_modules.0.norm.weight", "a motion module", None),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_a_file_is_is_told_whatever_it_is_given_as(case: str, tmp_path: Path) -> None:
    name, what, option = KINDS[case]
    # Beside it a tensor that says nothing: an embedding has one tensor.
    matrix = np.zeros((2, 2), np.float32)
    path = stored(tmp_path / "model.safetensors", {name: ("F32", matrix), "x.weight": ("F32", matrix)})
    given = {
        "--checkpoint": Sources(path),
        "--vae": Sources(CHECKPOINT, vae=path),
        "--text-encoder": Sources(CHECKPOINT, text_encoder=path),
        "--lora": Sources(CHECKPOINT, loras=((path, 1.0),)),
        "--embedding": Sources(CHECKPOINT, embeddings=((None, path),)),
    }
    for asked, sources in given.items():
        if asked == option:
            continue
        with pytest.raises((CheckpointError, UnsupportedModelError), match=what) as caught:
            open_checkpoint(sources)
        # What is of use after another option is no model that isn't supported.
        assert isinstance(caught.value, CheckpointError) == (option is not None and asked != "--checkpoint")
        assert caught.value.why == f"It has {name}."
        assert option is None or option in caught.value.hint or asked == "--checkpoint"


def test_a_config_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    """As in a clone without Git LFS, or behind a log-in."""
    for content, what in ((POINTER, "Git LFS pointer"), (b"<html>Sign in", "web page"), (b"", "is empty")):
        (tmp_path / "model_index.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=what):
            open_checkpoint(Sources(tmp_path))


def test_a_tokenizer_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "merges.txt").write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=r"merges\.txt is a Git LFS pointer"):
        _ = open_checkpoint(Sources(CHECKPOINT, tokenizer=tmp_path)).tokenizer


def test_broken_links_are_named(tmp_path: Path) -> None:
    """As a hub's cache has them whose blobs were deleted."""
    lost = tmp_path / "models--owner--name" / "snapshots" / "abc" / "model.safetensors"
    lost.parent.mkdir(parents=True)
    lost.symlink_to("../../blobs/0123")
    with pytest.raises(CheckpointError, match="is a broken link") as caught:
        open_checkpoint(Sources(lost))
    assert "hub id" in caught.value.hint
    (tmp_path / "vae.safetensors").symlink_to("nowhere.safetensors")
    with pytest.raises(CheckpointError, match="is a broken link") as caught:
        open_checkpoint(Sources(CHECKPOINT, vae=tmp_path / "vae.safetensors"))
    assert "correct the link" in caught.value.hint
