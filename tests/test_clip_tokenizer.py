"""CLIP's tokenizer for a file that brings none: found on this machine, known by its content.

The real vocabulary isn't part of the project: a small one takes its place here, built as OpenAI's file is. That the
program's own hash is the real one's was checked against three packages and another project's vocab.json.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_here import CliHere
from conftest import CHECKPOINT
from huggingface_hub import constants
from reference_models import LIKE_SD15_WIDE, save_random
from test_loading import original
from transformers import CLIPTokenizer

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint import Sources, clip_tokenizer, open_checkpoint
from qnn_sd.export.checkpoint.clip_tokenizer import INSTALL
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.tokenizer_files import Vocabulary

PACKED = "bpe_simple_vocab_16e6.txt.gz"
MERGES = ["r e", "d</w> a", "re d</w>", "c i", "ci r", "l e</w>", "\u00c4 \u0142", "\u0120 a</w>"]
TOKENS = 2 * 256 + len(MERGES) + 2
ENTRY = f"{INSTALL} (1.4 MB)"


def packed(merges: list[str] = MERGES) -> bytes:
    """OpenAI's file: a line about itself, the merges, and many more that CLIP doesn't use."""
    return gzip.compress("\n".join(['"bpe_simple_vocab_16e6.txt#version: 0.2', *merges, "z z", "q q", ""]).encode())


@pytest.fixture(autouse=True)
def clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vocabulary:
    """The small vocabulary; an empty cache of the hub, and no package that carries one."""
    monkeypatch.setattr(clip_tokenizer, "TOKENS", TOKENS)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(clip_tokenizer, "_MERGES_BYTES", range(1, 10_000))
    monkeypatch.setattr(clip_tokenizer, "_JOINT_BYTES", range(1, 1_000_000))
    # As anybody gets it who reads OpenAI's simple_tokenizer.py.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]
    pairs = [(left, right) for left, right in map(str.split, MERGES)]
    words = [*letters, *[f"{letter}</w>" for letter in letters], *["".join(pair) for pair in pairs]]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = Vocabulary({word: number for number, word in enumerate(words)}, pairs, tmp_path)
    monkeypatch.setattr(clip_tokenizer, "_SHA256", vocabulary.sha256)
    return vocabulary


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single file whose text encoder knows as many tokens."""
    folder = tmp_path_factory.mktemp("file")
    text = {**LIKE_SD15_WIDE.text, "hidden_size": 96, "num_attention_heads": 1, "vocab_size": TOKENS}
    unet = {**LIKE_SD15_WIDE.unet, "cross_attention_dim": 96}
    save_random(replace(LIKE_SD15_WIDE, unet=unet, text=text), folder / "folder")
    return original(folder / "folder", folder / "dream.safetensors", torch.float16)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, recorded: bool = True) -> Path:
    """A package that carries the file, and ends the test when it is imported."""
    package = folder / "site" / ("someclip" if recorded else "open_clip")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / PACKED).write_bytes(content)
    if recorded:
        info = folder / "site" / "someclip-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someclip\nVersion: 1.2\n")
        (info / "RECORD").write_text(f"someclip/__init__.py,,\nsomeclip/{PACKED},,\n")
    monkeypatch.setattr(sys, "path", [str(folder / "site"), *sys.path])
    return package / PACKED


def found(file: Path, cache: Path, download: bool = True) -> tuple[Vocabulary, list[str]]:
    """The tokenizer, and what was said."""
    said: list[str] = []
    return open_checkpoint(Sources(file), download, cache=cache, say=said.append).tokenizer, said


@pytest.mark.parametrize("recorded", [True, False])
def test_a_package_that_carries_it_is_enough(
    recorded: bool, file: Path, clip: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = install(tmp_path, monkeypatch, packed(), recorded)
    vocabulary, said = found(file, tmp_path / "cache")
    assert vocabulary == clip
    title = "someclip 1.2" if recorded else "open_clip"
    assert said == [f"dream.safetensors brings no tokenizer: CLIP's is taken, from the package {title} ({path})"]
    # It is unpacked once, in transformers' files, and the package isn't needed any more.
    unpacked = tmp_path / "cache" / "tokenizers" / "clip"
    assert sorted(each.name for each in unpacked.iterdir()) == ["merges.txt", "vocab.json"]
    ours = ClipTokenizer(vocabulary).encode("a red circle").ids[0, :8].tolist()
    theirs = CLIPTokenizer.from_pretrained(unpacked)("a red circle").input_ids
    assert ours[: len(theirs)] == theirs
    path.unlink()
    again, said = found(file, tmp_path / "cache")
    assert again == clip
    assert str(unpacked) in said[0]
    # A damaged copy isn't taken.
    (unpacked / "merges.txt").write_text("#version: 0.2\nr e\n")
    with pytest.raises(CheckpointError):
        found(file, tmp_path / "cache")


def test_a_dry_run_writes_nothing(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, packed())
    found(file, tmp_path / "cache", download=False)
    assert not (tmp_path / "cache").exists()


def snapshot(hub: Path, repository: str, vocabulary: Vocabulary, place: str, padding: str = "!") -> Path:
    folder = hub / f"models--{repository.replace('/', '--')}" / "snapshots" / "0123" / place
    folder.mkdir(parents=True)
    for name, text in vocabulary.files.items():
        # Written as others write it: another head, another order of the tokens, another spelling.
        changed = text.replace("0.2", "0.2 - by others")
        if name.endswith(".json"):
            changed = json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True)
        (folder / name).write_text(changed, "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": padding}))
    return folder


@pytest.mark.parametrize(
    ("repository", "place"), [("openai/clip-vit-large-patch14", ""), ("someone/any-diffusion", "tokenizer")]
)
def test_the_hubs_cache_is_enough(
    repository: str, place: str, file: Path, clip: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Vocabulary({**clip.tokens, "more": TOKENS}, clip.merges, tmp_path)
    snapshot(tmp_path / "hub", "a/other", other, place)
    folder = snapshot(tmp_path / "hub", repository, clip, place)
    broken = tmp_path / "hub" / "models--a--gone" / "snapshots" / "0123"
    broken.mkdir(parents=True)
    (broken / "vocab.json").symlink_to("nowhere")
    vocabulary, said = found(file, tmp_path / "cache")
    assert vocabulary == clip
    assert said == [f"dream.safetensors brings no tokenizer: CLIP's is taken, from {folder}"]
    # Another model's padding isn't taken along.
    assert open_checkpoint(Sources(file), cache=tmp_path / "cache").padding_token == "<|endoftext|>"


def test_one_file_as_transformers_5_writes_it_is_enough(file: Path, clip: Vocabulary, tmp_path: Path) -> None:
    for name, text in clip.files.items():
        (tmp_path / name).write_text(text, "utf-8")
    folder = tmp_path / "hub" / "models--a--b" / "snapshots" / "0123"
    CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(folder)
    assert not (folder / "vocab.json").exists()
    assert found(file, tmp_path / "cache")[0] == clip


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", packed()[:60], packed(["r e", *MERGES[2:], "e r"]), packed(MERGES[:3]), packed(["only"])],
    ids=["empty", "no gzip", "cut", "other merges", "short", "no pairs"],
)
def test_a_damaged_or_foreign_file_is_passed_over(
    content: bytes, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = install(tmp_path, monkeypatch, content)
    said: list[str] = []
    with pytest.raises(CheckpointError, match=r"dream\.safetensors brings no tokenizer"):
        _ = open_checkpoint(Sources(file), cache=tmp_path / "cache", say=said.append).tokenizer
    assert said == [f"{path} is passed over: it isn't CLIP's vocabulary"]
    assert not (tmp_path / "cache").exists()


def test_where_there_is_none_the_line_to_type_is_said(file: Path, tmp_path: Path, cli_here: CliHere) -> None:
    said = cli_here.refused(10, "run", "x", "--target", "cpu", "--checkpoint", str(file), "--cache", str(tmp_path))
    assert "brings no tokenizer" in said
    assert f"next: Type {ENTRY}" in said


def test_another_vocabulary_is_not_replaced_by_clips(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_tokenizer, "TOKENS", TOKENS + 1)
    with pytest.raises(CheckpointError, match="CLIP's isn't its"):
        _ = open_checkpoint(Sources(file)).tokenizer


def test_keys_depend_on_its_content_alone(
    file: Path, clip: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the hub's cache, a package, or a folder that was given: the same artifacts."""
    folder = snapshot(tmp_path / "elsewhere", "a/b", clip, "", "<|endoftext|>")

    def keys(sources: Sources) -> set[str]:
        pipeline = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), sources, tmp_path / "cache", dry_run=True)
        return {pipeline.build_cpu_bundle("float").key, pipeline.calibration().key}

    given = keys(Sources(file, tokenizer=folder))
    install(tmp_path, monkeypatch, packed())
    assert keys(Sources(file)) == given
    shutil.move(tmp_path / "elsewhere", tmp_path / "hub")
    assert keys(Sources(file)) == given
    shutil.copytree(CHECKPOINT / "tokenizer", tmp_path / "other")
    vocabulary = dict(clip.tokens)
    vocabulary["x"], vocabulary["y"] = vocabulary["y"], vocabulary["x"]
    changed = Vocabulary(vocabulary, clip.merges, tmp_path)
    for name, text in changed.files.items():
        (tmp_path / "other" / name).write_text(text, "utf-8")
    assert keys(Sources(file, tokenizer=tmp_path / "other")).isdisjoint(given)


def test_a_bundle_has_one_form_of_it(clip: Vocabulary, tmp_path: Path) -> None:
    """Whatever the files looked like."""
    first = snapshot(tmp_path / "hub", "a/b", clip, "")
    from_files = clip_tokenizer.read_vocabulary(first)
    assert from_files.files == clip.files
    assert from_files.sha256 == clip.sha256
