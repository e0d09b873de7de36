"""Textual inversions against diffusers' pipeline with the same files: same tokens, same text embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import CHECKPOINT
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError, QnnSdError, SettingError, UnsupportedModelError
from qnn_sd.export.checkpoint import Sources, open_checkpoint, parse_embedding
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.components import EXPORTS

WIDTH = 96
PROMPTS = (
    "a <cat> on a blue background",
    "a red circle",
    "neon",
    "neon, neon and neon on <CAT>",
    "a<cat>b",
    "a red circle " * 24 + "neon <cat> neon",
    "a red circle " * 60 + "neon",
)


def vectors(count: int, seed: int) -> torch.Tensor:
    return 0.3 * torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apart from the other tests', who look for the demo's one artifact of a name."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One vector in diffusers' layout, three in A1111's."""
    folder = tmp_path_factory.mktemp("embeddings")
    save_file({"<cat>": vectors(1, 1)[0]}, folder / "learned_embeds.safetensors")
    save_file({"emb_params": vectors(3, 2)}, folder / "neon.safetensors")
    return folder / "learned_embeds.safetensors", folder / "neon.safetensors"


@pytest.fixture(scope="module")
def diffusers_pipeline(files: tuple[Path, Path]) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(CHECKPOINT, safety_checker=None)
    pipe.load_textual_inversion(str(files[0]))
    pipe.load_textual_inversion(str(files[1]), token="neon")
    return pipe


def sources(files: tuple[Path, Path]) -> Sources:
    return Sources(CHECKPOINT, embeddings=tuple((None, path) for path in files))


@pytest.fixture(scope="module")
def pipeline(files: tuple[Path, Path], cache: Path) -> BuildPipeline:
    return BuildPipeline(load_model("tiny-sd"), Console(quiet=True), sources(files), cache)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_are_encoded_as_diffusers_does(
    prompt: str, pipeline: BuildPipeline, diffusers_pipeline: StableDiffusionPipeline
) -> None:
    bundle = pipeline.cpu_bundle("float")
    tokens = ClipTokenizer(bundle.tokenizer, 77, bundle.info.padding_token, bundle.info.added_tokens).encode(prompt)
    theirs = diffusers_pipeline.tokenizer(
        diffusers_pipeline.maybe_convert_prompt(prompt, diffusers_pipeline.tokenizer),
        padding="max_length",
        max_length=77,
        truncation=True,
        return_tensors="np",
    ).input_ids
    np.testing.assert_array_equal(tokens.ids, theirs)
    session = onnxruntime.InferenceSession(
        str(pipeline.export("text_encoder").file(MODEL_FILE)), providers=["CPUExecutionProvider"]
    )
    [found] = session.run(None, {"input_ids": tokens.ids})
    expected, _ = diffusers_pipeline.encode_prompt(prompt, torch.device("cpu"), 1, do_classifier_free_guidance=False)
    assert sqnr_db(expected.detach().numpy(), found) >= 70


def test_names_are_recognised_in_any_case_and_vector_by_vector(pipeline: BuildPipeline) -> None:
    """Where diffusers replaces text, and so leaves NEON with its first vector and takes neon_1 apart."""
    bundle = pipeline.cpu_bundle("float")
    tokenizer = ClipTokenizer(bundle.tokenizer, 77, bundle.info.padding_token, bundle.info.added_tokens)
    assert tokenizer.encode("NEON neon_2 neon_1 <Cat>").ids[0, 1:8].tolist() == [631, 632, 633, 633, 632, 630, 629]


def test_a_name_that_is_cut_is_told(pipeline: BuildPipeline) -> None:
    bundle = pipeline.cpu_bundle("float")
    tokenizer = ClipTokenizer(bundle.tokenizer, 8, bundle.info.padding_token, bundle.info.added_tokens)
    assert tokenizer.encode("a neon circle").cut == ""
    assert tokenizer.encode("a red circle, neon").cut == "neon"  # one of its three vectors didn't fit


def test_rows_follow_the_vocabulary(files: tuple[Path, Path]) -> None:
    opened = open_checkpoint(sources(files))
    assert opened.added_tokens == {"<cat>": [630], "neon": [631, 632, 633], "neon_1": [632], "neon_2": [633]}
    assert opened.config("text_encoder")["vocab_size"] == 634
    table = opened.weights("text_encoder").get("embeddings.token_embedding.weight", (634, WIDTH))
    np.testing.assert_array_equal(table[631:], vectors(3, 2).numpy())


def test_only_the_text_encoder_gets_other_files(files: tuple[Path, Path]) -> None:
    plain, opened = open_checkpoint(Sources(CHECKPOINT)), open_checkpoint(sources(files))
    assert set(opened.files("text_encoder").values()) - set(plain.files("text_encoder").values()) == set(files)
    for component in ("unet", "vae_decoder", "vae_encoder"):
        assert opened.files(EXPORTS[component].part) == plain.files(EXPORTS[component].part)


def test_names_can_be_given(files: tuple[Path, Path]) -> None:
    given = Sources(CHECKPOINT, embeddings=(parse_embedding(f"style one={files[1]}"), parse_embedding(str(files[0]))))
    assert list(open_checkpoint(given).added_tokens) == ["style one", "style one_1", "style one_2", "<cat>"]
    with pytest.raises(SettingError, match="empty name"):
        parse_embedding(f"={files[0]}")
    with pytest.raises(CheckpointError, match="is missing"):
        parse_embedding("cat=nowhere.safetensors")


def test_an_existing_path_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.safetensors").touch()
    assert parse_embedding("a=b.safetensors") == (None, Path("a=b.safetensors"))


def test_names_that_exist_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Before anything is made."""
    twice = Sources(CHECKPOINT, embeddings=((None, files[1]), ("neon", files[0])))
    with pytest.raises(SettingError, match="Two embeddings are called 'neon'"):
        BuildPipeline(load_model("tiny-sd"), Console(quiet=True), twice, tmp_path).cpu_bundle("float")
    # Prompts call them in any case.
    twice = Sources(CHECKPOINT, embeddings=((None, files[1]), ("NEON_2", files[0])))
    with pytest.raises(SettingError, match="Two embeddings are called 'NEON_2'"):
        open_checkpoint(twice).added_tokens  # noqa: B018
    assert not list(tmp_path.iterdir())


def test_a_name_may_be_a_word_of_the_vocabulary(files: tuple[Path, Path]) -> None:
    """Names are found before words are: "ef" is a token within words, and a file may be called so."""
    found = open_checkpoint(Sources(CHECKPOINT, embeddings=(("ef", files[0]),)))
    assert "ef" in found.tokenizer.tokens
    tokens = ClipTokenizer(found.tokenizer, added=found.added_tokens).encode("a red ef", plain=False)
    words = ClipTokenizer(found.tokenizer).encode("a red", plain=False)
    assert tokens.ids[0, : words.used + 1].tolist() == words.ids[0, : words.used + 1].tolist()
    assert tokens.ids[0, words.used + 1] == found.added_tokens["ef"][0]


@pytest.mark.parametrize(
    ("tensors", "name"),
    [
        ({"<cat>": vectors(1, 1)[0], "step": torch.tensor(500)}, "<cat>"),
        ({"bundle_emb.cat.v2.string_to_param.*": vectors(2, 1)}, "cat.v2"),
        ({"string_to_param.*": vectors(2, 1), "string_to_token.*": torch.tensor(265)}, "it"),
    ],
)
def test_what_stands_beside_the_vectors_is_passed_over(
    tensors: dict[str, torch.Tensor], name: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "it.safetensors")
    opened = open_checkpoint(Sources(CHECKPOINT, embeddings=((None, tmp_path / "it.safetensors"),)))
    assert next(iter(opened.added_tokens)) == name


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"emb_params": torch.zeros(2, 768)}, r"has shape \[2, 768\], not \[n, 96\]"),
        ({"emb_params": torch.zeros(0, WIDTH)}, "has shape"),
        ({"<cat>": torch.zeros(1, 1, WIDTH)}, "has shape"),
        ({"<cat>": torch.zeros(())}, "has shape"),
        ({"<cat>": torch.full((WIDTH,), float("nan"))}, "holds NaN"),
        ({}, "is no textual inversion"),
        ({"a": torch.zeros(WIDTH), "b": torch.zeros(WIDTH)}, "is no textual inversion"),
        ({"clip_l": torch.zeros(1, 768), "clip_g": torch.zeros(1, 1280)}, "for SDXL"),
    ],
)
def test_what_is_no_embedding_of_this_model_is_named(
    tensors: dict[str, torch.Tensor], message: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "cat.safetensors")
    with pytest.raises(QnnSdError, match=message) as caught:
        open_checkpoint(Sources(CHECKPOINT, embeddings=((None, tmp_path / "cat.safetensors"),)))
    assert isinstance(caught.value, UnsupportedModelError) == ("clip_l" in tensors)
    assert "cat.safetensors" in caught.value.what
