"""Prompts as the web UI reads them: marks, chunks and text states, against a judge written with torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import webui_prompts
from conftest import CHECKPOINT
from numpy.typing import NDArray
from transformers import CLIPTextModel, CLIPTokenizer

from qnn_sd.cli.prompt_marks import remarks_on_marks
from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.generate.prompt_chunks import Tokens
from qnn_sd.generate.prompt_syntax import parse_prompt
from qnn_sd.generate.text_states import encoded_chunks, filled_up, text_states, weighted
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.reference import reference_session
from qnn_sd.tokenizer_files import read_vocabulary

PROMPTS = [
    "",
    "a red circle on a blue background",
    "a (red:1.3) circle on a blue background",
    "((masterpiece)), a [dim] [[very dim]] star",
    r"a \(red\) circle \[x\] \\ and \y",
    "(unclosed red circle:1.5",
    "[unclosed (both circle",
    "closed) too ] often:1.2)",
    "(:1.2) () [] a",
    "(a (b:1.2) [c (d)] : 1.5 ) e",
    "(a [b) c] d",
    "(red:0) (blue:-1) (green:99) (white:.5) (black:+2.)",
    "(x:1.2.3) (y: 1.2 ) (z:1e3) a:b (c:d:1.2)",
    "(naïve café:1.2) 你好 (世界:1.1) 🎨",
    "(" * 20 + "deep" + ")" * 20,
    "BREAK",
    "red BREAK BREAK blue",
    "a big BREAKFAST BREAK (a star BREAK a circle:1.2) BREAK",
    ", ".join(f"red circle number {number}" for number in range(60)),
    "(red, blue:1.1) green " * 40,
    "word " * 300,
    "red " * 74 + ", blue, red",
    "red " * 54 + ", " + "red " * 30,
    "red " * 55 + ", " + "red " * 30,
]


@pytest.fixture(scope="module")
def theirs() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")


@pytest.fixture(scope="module")
def ours(theirs: CLIPTokenizer) -> ClipTokenizer:
    return ClipTokenizer(read_vocabulary(CHECKPOINT / "tokenizer"), 77, theirs.pad_token)


def rows(tokens: Tokens) -> list[list[tuple[int, float]]]:
    """Each chunk's tokens with their weights."""
    ones = np.ones(77, np.float32)
    return [
        list(zip(each.ids[0].tolist(), (ones if each.weights is None else each.weights).tolist(), strict=True))
        for each in tokens.chunks
    ]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_chunks_and_weights_are_the_web_uis(prompt: str, ours: ClipTokenizer, theirs: CLIPTokenizer) -> None:
    found, expected = rows(ours.encode(prompt, plain=False, most=99)), webui_prompts.chunks_of(prompt, theirs)
    assert len(found) == len(expected)
    end, padding = (theirs.eos_token_id, 1.0), (theirs.pad_token_id, 1.0)
    for row, chunk in zip(found, expected, strict=True):
        whole = [(theirs.bos_token_id, 1.0), *chunk, end, *[padding] * (75 - len(chunk))]
        assert [token for token, _ in row] == [token for token, _ in whole]
        assert [weight for _, weight in row] == pytest.approx([weight for _, weight in whole], rel=1e-6)


@pytest.fixture(scope="module", params=[1, 2, 3])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Clip skip, and the text encoder's graph with it."""
    sources = Sources(CHECKPOINT, clip_skip=request.param)
    cache = tmp_path_factory.mktemp("cache")
    made = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), sources, cache).export("text_encoder")
    return request.param, made.file(MODEL_FILE)


def test_text_states_are_the_web_uis(encoder: tuple[int, Path], ours: ClipTokenizer, theirs: CLIPTokenizer) -> None:
    """The layer of ``--clip-skip`` through the last norm; weights; the mean put back.

    Chunks as often as the UNet takes, or empty ones behind where that doesn't go.
    """
    clip_skip, graph = encoder
    session, model = reference_session(graph), CLIPTextModel.from_pretrained(CHECKPOINT / "text_encoder")
    for prompt in [each for each in PROMPTS if "99" not in each][:: 1 if clip_skip == 2 else 5]:
        tokens = ours.encode(prompt, plain=False, most=99)
        count = len(tokens.chunks)
        for built, filled in ((2 * count, count), (2 * count + 1, 2 * count + 1 if count > 1 else 1)):
            found = text_states(
                tokens.chunks,
                ours.empty_chunk(),
                built,
                lambda ids: np.asarray(session.run(None, {"input_ids": ids})[0]),
            )
            expected = webui_prompts.states_of(prompt, theirs, model, clip_skip, filled).numpy()
            times = built // filled
            np.testing.assert_allclose(found, np.concatenate([expected] * times, 1), atol=1e-4, err_msg=prompt)


def test_a_clip_skip_that_is_no_layer_is_refused() -> None:
    for number in (0, 4, -1):
        with pytest.raises(SettingError, match=f"--clip-skip {number} is not possible") as caught:
            open_checkpoint(Sources(CHECKPOINT, clip_skip=number))
        assert "Choose 1 (the last layer) to 3" in caught.value.hint


def test_clip_skip_leaves_the_checkpoint_what_it_is() -> None:
    """A LoRA's layers behind the answering one are left out with it, and the image names the same checkpoint."""
    whole, skipped = (open_checkpoint(Sources(CHECKPOINT, clip_skip=number)) for number in (1, 2))
    assert skipped.identity() == whole.identity()
    assert skipped.config("text_encoder")["num_hidden_layers"] == 2
    assert skipped.settings("unet") == whole.settings("unet")
    assert skipped.parameters("text_encoder") < whole.parameters("text_encoder")


def test_changes_by_step_are_words_brackets_included() -> None:
    for prompt in ("a [red|blue] star", "a [red:blue:0.5] star", "a [(red:1.2)::8] star", "a [red: .5 ] star"):
        parsed = parse_prompt(prompt)
        words = prompt.replace("(red:1.2)", "red")
        assert "".join(each.text or "" for each in parsed.segments) == words
        assert parsed.as_words == prompt[2:-5]
    # What is no such mark is one of weights.
    for prompt in ("[red]", "[a: b]", "[(a|b)]", "[a:1.2.3]"):
        assert parse_prompt(prompt).as_words == ""
        assert parse_prompt(prompt).segments[0].weight == pytest.approx(1 / 1.1, rel=0.11)


def test_tags_of_networks_are_no_words() -> None:
    parsed = parse_prompt(
        "a star<lora:ink:0.8>, < LoRA : a b> <hypernet:x:1> <other:y> <b> <3 <a b:c> <lora:> <lora:open"
    )
    assert [(tag.kind, tag.name, tag.scale) for tag in parsed.tags] == [
        ("lora", "ink", "0.8"),
        ("lora", "a b", ""),
        ("hypernet", "x", "1"),
        ("other", "y", ""),
    ]
    assert [each.text for each in parsed.segments] == ["a star,    <b> <3 <a b:c> <lora:> <lora:open"]


@pytest.mark.parametrize(
    ("tag", "scale", "is_split"),
    [
        ("<lora:ink:0.8:0.6>", "0.6", True),
        ("<lora:ink:0.8:0.8>", "0.8", False),
        ("<lora:ink:te=0.5:unet=0.8>", "0.8", True),
        ("<lyco:ink:unet=1>", "1", True),
        ("<lora:ink:0.7:lbw=OUTD>", "0.7", False),
    ],
)
def test_a_tags_scale_is_the_unets(tag: str, scale: str, is_split: bool) -> None:
    [found] = parse_prompt(tag).tags
    assert (found.name, found.scale, found.is_split) == ("ink", scale, is_split)


def test_plain_text_is_one_chunk_whatever_it_holds(ours: ClipTokenizer, theirs: CLIPTokenizer) -> None:
    for prompt in PROMPTS:
        found = ours.encode(prompt, plain=True)
        expected = theirs(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids
        np.testing.assert_array_equal(found.ids, expected)
        assert len(found.chunks) == 1
        assert found.chunks[0].weights is None


def test_what_is_over_the_chunks_is_told(ours: ClipTokenizer) -> None:
    prompt = "red " * 75 + "(blue:1.2) star BREAK green"
    assert ours.encode(prompt, plain=False, most=3).cut == ""
    assert ours.encode(prompt, plain=False, most=2).cut == "green"
    assert ours.encode(prompt, plain=False, most=1).cut == "blue star BREAK green"
    assert ours.encode(prompt).cut.startswith("(blue:1.2) star")


def test_a_shorter_prompt_is_repeated_where_that_is_exact_and_else_filled_up() -> None:
    assert [filled_up(chunks, 4) for chunks in (1, 2, 3, 5)] == [1, 2, 4, 4]
    assert [filled_up(chunks, 3) for chunks in (1, 2, 3, 5)] == [1, 3, 3, 3]
    assert [filled_up(chunks, 1) for chunks in (1, 2, 3, 5)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("prompt", "negative", "built", "expected"),
    [
        ("a star", "", 1, 2),
        ("a star", "a star", 1, 1),
        # The other one's length changes nothing: an empty chunk is only fed where 2 don't divide 3.
        ("a BREAK b", "c", 2, 3),
        ("a BREAK b", "c", 3, 4),
        ("a BREAK b BREAK a", "c", 3, 3),
        ("a BREAK a", "", 3, 2),
    ],
)
def test_the_text_encoder_is_fed_each_chunk_once(
    prompt: str, negative: str, built: int, expected: int, ours: ClipTokenizer
) -> None:
    """Counted beforehand as it is fed."""
    both, empty = [ours.encode(text, plain=False, most=9) for text in (prompt, negative)], ours.empty_chunk()
    fed: list[bytes] = []

    def encode(ids: NDArray[np.int32]) -> NDArray[np.float32]:
        fed.append(ids.tobytes())
        return np.zeros((1, 77, 2), np.float32)

    for each in both:
        text_states(each.chunks, empty, built, encode)
    assert encoded_chunks(both, empty, built) == set(fed)
    assert len(set(fed)) == expected


def test_weights_that_leave_no_numbers_are_refused() -> None:
    states = np.random.default_rng(0).standard_normal((1, 3, 4), np.float32) + 1
    for wrong in (np.inf, 3e38):
        with pytest.raises(SettingError, match="too large"):
            weighted(states, np.array([1, wrong, 1], np.float32))
    # A mean of zero can't be scaled back.
    even = np.array([[[1.0], [1.0]]], np.float32)
    np.testing.assert_array_equal(weighted(even, np.array([1, -1], np.float32)).ravel(), [1, -1])


def test_a_mean_of_rounding_errors_scales_nothing() -> None:
    """A final norm without a bias leaves it: of both signs, whatever the weights are."""
    noise = np.random.default_rng(0).standard_normal((1, 77, 96), np.float32)
    states = (noise - noise.mean(-1, keepdims=True)) / noise.std(-1, keepdims=True)
    weights = np.ones(77, np.float32)
    weights[3] = 1.4
    np.testing.assert_array_equal(weighted(states, weights), states * weights[None, :, None])


LONG = 12_000
HOSTILE = [
    *("(" * LONG, "[" * LONG, "(" * LONG + ")" * LONG, "[a|" * LONG + "]" * LONG, "[:" * LONG, "(a:1" * LONG),
    *(
        "<lora:" * LONG,
        "<lora:" + "a" * LONG,
        "<lora:a" + ":=" * LONG + ">",
        "< " * LONG,
        "<lora:a:1>" * LONG,
        " " * LONG,
        "x" * LONG,
        "BREAK " * LONG,
        "{" + "|" * LONG,
    ),
    *("__a" * LONG, ":" + "1" * LONG, "embedding:" * LONG, "(x:" + "9" * LONG + ")", "\udcff(\udcff:1.2)"),
]


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_a_prompt_that_is_made_to_take_long_does_not(prompt: str, ours: ClipTokenizer) -> None:
    """An expression or a loop that takes the length squared would take minutes for each."""
    list(remarks_on_marks(prompt, "prompt", {}))
    assert ours.encode(prompt, plain=False, most=2).used <= 150


ADDED = {"ed": [700], "neon": [701, 702], "neon_1": [702], "easy-negative": [703], "style one": [704], "<cat>": [705]}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red bed, educated", []),
        ("Ed's ED, (ed:1.2)", [700, 700, 700]),
        ("ed1 ed_1 1ed", []),
        ("neon neon_1 neons NEON.", [701, 702, 702, 701, 702]),
        ("EASY-Negative easy negative uneasy-negative", [703]),
        ("Style  One style-one style\none", [704, 704]),
        ("a<CAT>b <cat>", [705, 705]),
        ("neon.safetensors, embedding:neon embedding:Ed.pt (embedding:easy-negative:1.1)", [701, 702] * 2 + [700, 703]),
    ],
)
def test_an_embeddings_name_is_a_word_of_its_own(prompt: str, expected: list[int]) -> None:
    tokenizer = ClipTokenizer(read_vocabulary(CHECKPOINT / "tokenizer"), added=ADDED)
    found = [token for chunk in tokenizer.encode(prompt, plain=False, most=9).chunks for token in chunk.ids[0]]
    assert [token for token in found if token >= 700] == expected


def test_an_embedding_is_not_torn_apart() -> None:
    tokenizer = ClipTokenizer(
        read_vocabulary(CHECKPOINT / "tokenizer"), added={"neon": range(700, 704), "huge": range(700, 800)}
    )
    first, second = tokenizer.encode("red " * 72 + "neon", plain=False, most=9).chunks
    assert 700 not in first.ids[0]
    assert second.ids[0, 1:5].tolist() == [700, 701, 702, 703]
    chunks = tokenizer.encode("red huge", plain=False, most=9).chunks
    found = [token for chunk in chunks for token in chunk.ids[0].tolist() if token >= 700]
    assert found == list(range(700, 800))
