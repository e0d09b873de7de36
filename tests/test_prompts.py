"""The prompts to calibrate and to judge with: as many and as varied as they claim to be."""

from __future__ import annotations

import re
import statistics
import unicodedata
import zipfile
from pathlib import Path

import pytest

from qnn_sd import resources

FOLDER = resources.assets() / "prompts"
COUNTS = {"calibration.txt": 500, "held_out.txt": 64}
# How CLIP's tokenizer cuts a prompt before it looks for tokens: words, single digits, runs of other signs.
PIECES = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_")
# Its 77 tokens less start and end.
RANGE_MARGIN = 75


def prompts(name: str) -> list[str]:
    text = (FOLDER / name).read_bytes().decode("utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


ALL = [prompt for name in COUNTS for prompt in prompts(name)]


def plain(prompt: str) -> str:
    """A prompt without case, spaces and punctuation."""
    letters = re.sub(r"[\W_]+", "", prompt.casefold())
    return letters or prompt


@pytest.mark.parametrize("name", COUNTS)
def test_there_are_as_many_as_promised_one_a_line(name: str) -> None:
    found = prompts(name)
    assert len(found) == COUNTS[name]
    for prompt in found:
        # Whoever reads such a file strips lines and takes those with # for comments.
        assert prompt == prompt.strip(), prompt
        assert not prompt.startswith("#"), prompt
        assert prompt.isprintable() or "\N{ZERO WIDTH JOINER}" in prompt, prompt
        assert unicodedata.is_normalized("NFC", prompt), prompt


def test_no_prompt_is_there_twice_in_either_file_or_in_both() -> None:
    assert len({plain(prompt) for prompt in ALL}) == sum(COUNTS.values())


def test_every_prompt_fits_into_clips_tokens() -> None:
    """By what can be counted without CLIP's vocabulary: pieces, of which each is at least one token."""
    longest = max(ALL, key=lambda prompt: len(PIECES.findall(prompt)))
    assert len(PIECES.findall(longest)) <= RANGE_MARGIN, longest
    assert max(len(prompt.split()) for prompt in ALL) <= 60


@pytest.mark.parametrize("name", COUNTS)
def test_lengths_are_spread(name: str) -> None:
    lengths = [len(prompt.split()) for prompt in prompts(name)]
    assert min(lengths) == 1
    assert max(lengths) >= 30
    tenths = statistics.quantiles(lengths, n=10)
    assert tenths[0] <= 6
    assert 8 <= statistics.median(lengths) <= 15
    assert tenths[-1] >= 16


def test_the_demo_is_judged_with_other_prompts_of_its_own_language() -> None:
    words, found = [], []
    for name in COUNTS:
        lines = (resources.assets() / "tiny_sd_prompts" / name).read_text("utf-8").splitlines()
        kept = [line for line in lines if not line.startswith("#")]
        found += [plain(prompt) for prompt in kept]
        words.append({word for prompt in kept for word in re.findall(r"[a-z]+", prompt.lower())})
    assert len(set(found)) == len(found)
    # Every word of the held-out prompts is one that calibration has, so that they differ in what they say alone.
    assert words[1] <= words[0]


@pytest.mark.parametrize(
    ("manner", "least"),
    [
        (r"[äöüß]", 5),
        (r"[áíóúñ]|playa|caballo|barco", 5),
        (r"[èêàîû]|chat noir|champ|rouillé", 5),
        (r"^[\u4e00-\u9fff\uff0c]+$", 6),
        (r"[\u3040-\u30ff]", 6),
        (r"[\u0900-\u097f]", 5),
        (r"[\u0600-\u06ff]", 5),
        (r"[\U0001f300-\U0001faff]", 8),
        (r"\([^()]+:\d\.\d+\)", 12),
        (r"^[a-z]+$", 10),
    ],
)
def test_manners_of_writing(manner: str, least: int) -> None:
    """Seven languages beside English, emoji, weights, single words: several to calibrate with, one to judge with."""
    assert sum(bool(re.search(manner, prompt)) for prompt in prompts("calibration.txt")) >= least
    assert any(re.search(manner, prompt) for prompt in prompts("held_out.txt"))


def test_the_wheel_has_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        for folder in (FOLDER, FOLDER.parent / "tiny_sd_prompts"):
            for path in folder.iterdir():
                assert opened.read(f"qnn_sd/_data/assets/{folder.name}/{path.name}") == path.read_bytes()
