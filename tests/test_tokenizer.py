"""Our CLIP tokenizer against transformers', on the demo's vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKPOINT
from transformers import CLIPTokenizer

from qnn_sd.errors import CheckpointError
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.tokenizer_files import read_vocabulary

PROMPTS = [
    "a red circle on a blue background",
    "red circle, blue background",
    "A big green square on white",
    "",
    "   \t\n ",
    "it's the dog's, they'll; we've 12345 3.14",
    "naïve café Ångström ÄÖÜ ß",
    "你好,世界 红色的圆",
    "🎨🔴 on 🟦 👩‍👩‍👧",
    "a<|endoftext|>b <|startoftext|>",
    "UPPER   many    spaces!!!???...",
    "e\u0301 combining, \u00a0 no-break, \u200b zero width",
    "red_circle-on/blue\\background #hash @at",
    "x" * 400,
    "a red circle " * 60,
]


@pytest.fixture(scope="module")
def theirs() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_are_transformers(prompt: str, theirs: CLIPTokenizer) -> None:
    found = ClipTokenizer(read_vocabulary(CHECKPOINT / "tokenizer")).encode(prompt)
    expected = theirs(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids
    assert found.ids.dtype == np.int32
    np.testing.assert_array_equal(found.ids, expected)


def test_what_is_cut_is_told() -> None:
    tokenizer = ClipTokenizer(read_vocabulary(CHECKPOINT / "tokenizer"), length=8)
    short = tokenizer.encode("a red circle")
    assert short.cut == ""
    long = tokenizer.encode("a red circle on a Blue background, please")
    # Start and end stay; six words are left, the rest is given back as it was typed.
    assert long.used == 6
    assert long.cut.endswith("background, please")
    assert long.ids[0, 0] == short.ids[0, 0]
    assert long.ids[0, -1] == short.ids[0, -1]


def test_lone_surrogates_are_no_crash() -> None:
    """Bytes that are no UTF-8 reach a program as lone surrogates."""
    assert ClipTokenizer(read_vocabulary(CHECKPOINT / "tokenizer")).encode("red \udcff circle").used > 2


def test_a_broken_vocabulary_is_named(tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((CHECKPOINT / "tokenizer" / name).read_bytes()[:50])
    with pytest.raises(CheckpointError, match="can't be read"):
        ClipTokenizer(read_vocabulary(tmp_path))
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match=r"merges.txt is missing"):
        ClipTokenizer(read_vocabulary(tmp_path))
