"""What ``qnn-sd run`` says of prompts, and the options that change how they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT
from PIL import Image
from safetensors.numpy import load_file, save_file

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.prompt_remarks import calibrated_text_range, remark_on_prompts
from qnn_sd.console import Console
from qnn_sd.generate import Generation, Request
from qnn_sd.generate.prompt_chunks import Chunk, Tokens
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.calibrate_stage import (
    RecordingPlan,
    calibration_plan,
    held_out_plan,
    verification_plan,
)

QUICK = ("--target", "cpu", "--steps", "1", "--seed", "3")
DRY = ("--target", "cpu", "--dry-run")
LONG = "a big blue square on white, " * 12

pytestmark = pytest.mark.usefixtures("bundles_in_cache")

MARKS = {
    "a (lighthouse:1.3)": None,
    "a ((red)) boat, [fog]": None,
    "a boat BREAK fog": "the prompt has 6 tokens in 2 chunks: a UNet that takes 2 is another build",
    "a boat, [fog|rain]": "[fog|rain] in the prompt is read as plain words: changes from step to step",
    "a [boat:ship:0.5]": "[boat:ship:0.5] in the prompt is read as plain words: changes from step to step",
    "a boat AND fog": "AND in the prompt is read as plain words: prompts of several parts",
    "a {red|blue} boat": "{red|blue} in the prompt is read as plain words: choices between words",
    "a __colour__ boat": "__colour__ in the prompt is read as plain words: files of words",
    "a boat <lora:ink:0.7>": "<lora:ink:0.7> in the prompt is left out: give the LoRA as --lora PATH:0.7",
    "a boat <lyco:ink>": "<lyco:ink> in the prompt is left out: give the LoRA as --lora PATH:1",
    "a boat <hypernet:old:1>": "<hypernet:old:1> in the prompt is left out: hypernetworks aren't supported",
    "a boat, embedding:neon": "embedding:neon is read as plain words: give the file as --embedding",
    "a boat <LORA: ink :te=0.5:unet=x>": "<LORA: ink :te=0.5:unet=x> in the prompt is left out: give the "
    "LoRA as --lora PATH:SCALE",
    "a boat <segment:face>": "<segment:face> in the prompt is left out: what <segment:...> names isn't supported",
    "a {red} boat": "{red} in the prompt is read as plain words: a weight is written (words:1.1)",
    "a (red)++ boat": ")++ in the prompt is read as plain words: it is InvokeAI's; a weight is written (words:1.3)",
    "a (red)1.3 boat": ")1.3 in the prompt is read as plain words: it is InvokeAI's",
    "a (red:1,3) boat": "(red:1,3) in the prompt is no weight: it is written (words:1.3)",
    "a \uff08red\uff1a1.3\uff09 boat": "\uff08red\uff1a1.3\uff09 in the prompt is no weight",
    "a (red\uff1a1.3) boat": "(red\uff1a1.3) in the prompt is no weight",
    "a \uff08red:1\uff09 boat": "\uff08red:1\uff09 in the prompt is no weight",
    "a red:1.3) boat": ":1.3) in the prompt is read as plain words: no bracket is open before it",
    "a boat (ratio 16:9)": "the prompt has a weight of 9: ratio 16. Usual are 0.5 to 1.5",
    "a (red:1.3 boat": "the prompt has a bracket that nothing closes: (red:1.3 boat; it goes to the end",
    "a boat\nNegative prompt: fog\nSteps: 20, Sampler: Euler a": "Negative prompt: in the prompt is read as plain words"
    ", and so are the settings after it: type them as --negative, --steps",
    "a boat\nSteps: 20, Sampler: Euler a": "Steps: 20 in the prompt is read as plain words",
}


def remarks(done: Any) -> list[str]:
    lines = done.stderr.splitlines()
    return [each.removeprefix("warning: ") for each in lines if "prompt" in each or each.startswith("warning: ")]


@pytest.mark.parametrize("prompt", MARKS)
def test_marks_that_do_nothing_are_named_and_no_others(prompt: str, cli_here: CliHere) -> None:
    expected, found = MARKS[prompt], remarks(cli_here("run", prompt, *DRY))
    assert len(found) == (expected is not None), found
    assert expected is None or found[0].startswith(expected)
    assert remarks(cli_here("run", prompt, *DRY, "--plain-prompt")) == []


def test_a_prompt_of_words_has_no_marks_and_a_negative_one_may(cli_here: CliHere) -> None:
    for prompt in (
        "CATS AND DOGS",
        "a cat (and a dog), 16 steps: a stair",
        "sand and brandy, Breaking waves",
        "C++ (a book) - 1.5 kg, (half)-open, 4:3",
        "一只猫\uff08可爱\uff09 (a: b, 3) (b:2, c)",
        "(a:1.5) (b:-1) <3 :) a <b> c",
    ):
        assert remarks(cli_here("run", prompt, *DRY)) == []
    found = remarks(cli_here("run", "a cat", "--negative", "[fog|rain]", *DRY))
    assert [each.partition(":")[0] for each in found] == ["[fog|rain] in the negative prompt is read as plain words"]


def test_a_long_prompt_is_another_build_and_nothing_of_it_is_cut(cli_here: CliHere) -> None:
    made = cli_here.json("run", LONG, *QUICK, "-o", "long.png")["images"][0]["metadata"]
    assert (made["prompt_chunks"], made["plain_prompt"]) == (2, False)
    done = cli_here("run", "--like", "long.png", "-o", "again.png")
    assert "again.png has the same pixels as long.png" in done.stderr
    assert "warning" not in done.stderr
    # Its UNet serves a short prompt as well; typed, the number holds.
    short = ("run", "a red circle", *QUICK)
    assert cli_here.json(*short, "--prompt-chunks", "2", "-o", "b.png")["images"][0]["metadata"]["prompt_chunks"] == 2
    assert cli_here.json(*short, "-o", "a.png")["images"][0]["metadata"]["prompt_chunks"] == 1
    a, b = (np.asarray(Image.open(cli_here.folder / name), int) for name in ("a.png", "b.png"))
    assert np.abs(a - b).max() <= 2
    # An image's number is no more than a beginning.
    longer = cli_here.json("run", LONG * 4, "--like", "long.png", "-o", "c.png", "--dry-run")  # which no test builds
    assert [stage["cached"] for stage in longer["stages"] if stage["component"] == "unet"] == [False]


def test_what_is_too_long_is_refused_with_the_number_or_cut_as_plain_text(cli_here: CliHere) -> None:
    done = cli_here("run", LONG, *DRY, "--prompt-chunks", "1")
    assert done.returncode == 3
    assert "The prompt is 2 chunks of 75 tokens long, and the UNet takes 1" in done.stderr
    assert "or type --prompt-chunks 2. --plain-prompt cuts it to one chunk" in done.stderr
    done = cli_here("run", LONG * 20, *DRY)
    assert done.returncode == 3
    assert "and the UNet takes 16" in done.stderr
    assert "--prompt-chunks" not in done.stderr
    for number in ("0", "17"):
        assert f"--prompt-chunks {number} is not possible" in cli_here("run", "x", "--prompt-chunks", number).stderr
    done = cli_here("run", LONG, *QUICK, "--plain-prompt")
    assert done.returncode == 0
    assert "the prompt is too long: 75 tokens were used, this was cut: " in done.stderr
    done = cli_here("run", "x", "--negative", LONG, *DRY, "--prompt-chunks", "1")
    assert "The negative prompt is 2 chunks of 75 tokens long, and the UNet takes 1" in done.stderr
    assert remarks(cli_here("run", "x", "--negative", LONG, *DRY))[0].startswith("the negative prompt has ")


def test_chunks_that_do_not_divide_the_unets_are_said(cli_here: CliHere) -> None:
    typed = ("run", "a BREAK b BREAK c", *DRY, "--negative")
    line = (
        "the negative prompt has 2 chunks, filled up to 3 with empty ones (--prompt-chunks 6 is another build, which "
    )
    assert any(each.startswith(line) for each in remarks(cli_here(*typed, "a BREAK b")))
    for more in (("a",), ("a BREAK b", "--guidance", "1"), ("a BREAK b", "--prompt-chunks", "6")):
        assert "filled" not in cli_here(*typed, *more).stderr


def test_a_negative_prompt_that_no_pass_is_given_is_said(cli_here: CliHere) -> None:
    done = cli_here("run", "x", "--negative", LONG, *QUICK, "--guidance", "1")
    assert remarks(done) == ["the negative prompt does nothing: the guidance scale is 1"]
    assert remarks(cli_here("run", "x", "--negative", " ", *DRY, "--guidance", "1")) == []


def test_a_build_of_two_chunks_differs_in_the_unet_alone(cli_here: CliHere) -> None:
    compile_two = cli_here.json("compile", "--soc", "sm8650", "--prompt-chunks", "2", "--dry-run")["stages"]
    missing = {(stage["stage"], stage["component"]) for stage in compile_two if not stage["cached"]}
    built = {"export", "quantize", "compile", "verify"}
    assert {each for each in missing if each[1] in ("text_encoder", "vae_decoder")} == set()
    assert {stage for stage, component in missing if component == "unet"} <= built
    assert ("compile", "unet") in missing


def test_clip_skip_by_a_config_is_that_of_the_option(cli_here: CliHere, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path / "two")
    config = tmp_path / "two/text_encoder/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 2}))
    typed = ("run", "a red circle", *QUICK, "--checkpoint", str(tmp_path / "two"))
    made = cli_here.json(*typed, "-o", "config.png")["images"][0]["metadata"]
    assert made["clip_skip"] == 2
    assert "Clip skip: 2" in Image.open(cli_here.folder / "config.png").text["parameters"]  # type: ignore[attr-defined]
    stages = cli_here.json(*typed, "--dry-run", "--clip-skip", "2")["stages"]
    assert all(each["cached"] for each in stages)
    done = cli_here("run", "--like", "config.png", "--checkpoint", str(tmp_path / "two"), "-o", "again.png")
    assert "again.png has the same pixels as config.png" in done.stderr


def test_clip_skip_is_another_text_encoder(cli_here: CliHere, tmp_path: Path) -> None:
    made = cli_here.json("run", "a red circle", *QUICK, "--clip-skip", "2", "-o", "two.png")["images"][0]["metadata"]
    assert made["clip_skip"] == 2
    assert "Clip skip: 2" in Image.open(cli_here.folder / "two.png").text["parameters"]  # type: ignore[attr-defined]
    done = cli_here("run", "--like", "two.png", "-o", "again.png")
    assert "again.png has the same pixels as two.png" in done.stderr
    done = cli_here("run", "--like", "two.png", "--clip-skip", "1", "-o", "one.png")
    assert "--clip-skip '1' instead of the image's '2'" in done.stderr
    assert "one.png has other pixels than two.png" in done.stderr
    done = cli_here("run", "x", *DRY, "--clip-skip", "9")
    assert (done.returncode, "--clip-skip 9 is not possible" in done.stderr) == (3, True)


@pytest.fixture(scope="module")
def vector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedding") / "ed-ge.safetensors"
    save_file({"emb_params": np.random.default_rng(1).standard_normal((2, 96), np.float32)}, path)
    return path


@pytest.mark.parametrize(
    ("prompt", "negative", "expected"),
    [
        ("a red hedge", "", "no prompt calls the embedding ed-ge: write 'ed-ge', as a word of its own"),
        ("a red ed ge", "", "no prompt calls the embedding ed-ge: write 'ed-ge' instead of 'ed ge'"),
        ("a red edge", "", "no prompt calls the embedding ed-ge: write 'ed-ge' instead of 'edge'"),
        ("a red Ed-Ge", "", None),
        ("a red star", "(ed-ge_1:1.2)", None),
        ("a red embedding:ed-ge", "", None),
    ],
)
def test_an_embedding_that_nobody_calls_is_said(
    prompt: str, negative: str, expected: str | None, vector: Path, cli_here: CliHere
) -> None:
    done = cli_here("run", prompt, "--negative", negative, *DRY, "--embedding", str(vector))
    assert done.returncode == 0, done.stderr
    assert remarks(done) == ([] if expected is None else [expected])


def test_a_name_with_brackets_is_told_as_it_is_typed(vector: Path, cli_here: CliHere) -> None:
    """They are marks: to write the name is not enough."""
    typed = ("run", *DRY, "--embedding", f"bad (v2)={vector}")
    [line] = remarks(cli_here(*typed, "a bad (v2) star"))
    assert line == r"no prompt calls the embedding bad (v2): write 'bad \(v2\)' instead of 'bad (v2)'"
    assert remarks(cli_here(*typed, r"a bad \(v2\) star")) == []
    assert remarks(cli_here(*typed, "a bad (v2) star", "--plain-prompt")) == []


def test_a_bundle_says_what_its_prompts_ask_for_in_vain(
    pipeline: BuildPipeline, cli_here: CliHere, tmp_path: Path
) -> None:
    shutil.copytree(pipeline.cpu_bundle("float").folder, tmp_path / "bundle")
    typed = ("run", "--bundle", str(tmp_path / "bundle"), *QUICK)
    done = cli_here(*typed, "a (red:1.2) star <lora:ink:1> embedding:neon", "-o", "a.png")
    assert [each for each in remarks(done) if each.startswith(("<", "embedding"))] == [
        "<lora:ink:1> in the prompt is left out: the bundle keeps the LoRAs that it was compiled with",
        "embedding:neon is read as plain words: the bundle wasn't compiled with it",
    ]
    with Image.open(cli_here.folder / "a.png") as image:
        document = json.loads(image.text["qnn-sd"])  # type: ignore[attr-defined]
        # Which layer answers a bundle doesn't tell.
        assert document["clip_skip"] is None
        assert image.text["clip_skip"] == "unknown"  # type: ignore[attr-defined]
        assert "Clip skip" not in image.text["parameters"]  # type: ignore[attr-defined]
    done = cli_here("run", "--like", "a.png", "--bundle", str(tmp_path / "bundle"), "-o", "b.png")
    assert "b.png has the same pixels as a.png" in done.stderr
    for prompts, what in (((LONG,), "prompt"), (("x", "--negative", LONG), "negative prompt")):
        done = cli_here(*typed, *prompts)
        assert done.returncode == 3
        assert f"The {what} is 2 chunks of 75 tokens long, and the UNet takes 1" in done.stderr
        assert "or compile a bundle with --prompt-chunks 2. --plain-prompt cuts it" in done.stderr
    assert cli_here(*typed, LONG, "--plain-prompt").returncode == 0


def test_a_lora_that_was_given_is_only_taken_out(cli_here: CliHere, tmp_path: Path) -> None:
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    rows, columns = load_file(CHECKPOINT / "unet/diffusion_pytorch_model.safetensors")[f"{name}.weight"].shape
    ups = {f"unet.{name}.lora_A.weight": (2, columns), f"unet.{name}.lora_B.weight": (rows, 2)}
    rng = np.random.default_rng(0)
    save_file({key: rng.standard_normal(shape, np.float32) for key, shape in ups.items()}, tmp_path / "Ink.safetensors")
    typed = ("run", "a star <lora:ink:0.5>", *DRY, "--lora")
    assert remarks(cli_here(*typed, f"{tmp_path / 'Ink.safetensors'}:0.5")) == []
    [line] = remarks(cli_here(*typed, f"{tmp_path / 'Ink.safetensors'}:0.8"))
    assert line == "<lora:ink:0.5> in the prompt: the LoRA is merged at 0.8, as --lora says"
    [line] = remarks(cli_here("run", "a star <lora:ink:0.8:0.5>", *typed[2:], f"{tmp_path / 'Ink.safetensors'}:0.5"))
    assert line == "<lora:ink:0.8:0.5> in the prompt: the LoRA is merged at 0.5, as --lora says"


@pytest.mark.parametrize("plan", [calibration_plan, held_out_plan, verification_plan])
def test_recordings_of_several_chunks_have_prompts_of_each_length(
    plan: Callable[[BuildContext], RecordingPlan], pipeline: BuildPipeline
) -> None:
    """And of one chunk the files' own: those builds stay what they were."""
    tokenizer = ClipTokenizer(pipeline.checkpoint.tokenizer)
    counts = {}
    for built in (1, 2, 3):
        recording = plan(pipeline.at_chunks(built)._context)
        texts = {each.prompt for each in recording.trajectories} | {each.negative for each in recording.trajectories}
        encoded = [tokenizer.encode(text, plain=False, most=99) for text in (*texts, *recording.texts)]
        counts[built] = {len(each.chunks) for each in encoded}
    assert counts == {1: {1}, 2: {1, 2}, 3: {1, 2, 3}}


def test_weights_beyond_the_calibrated_range_are_said(
    pipeline: BuildPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the demo's range ±12.2, which (word:1.8) doesn't reach."""
    quantized, floats = pipeline.cpu_bundle("qdq"), pipeline.cpu_bundle("float")
    low, high = calibrated_text_range(quantized) or (0, 0)
    encodings = json.loads((quantized.folder / "unet" / "encodings.json").read_text())["activation_encodings"]
    [text] = [each for each in encodings if each["name"] == "encoder_hidden_states"]
    step, offset = text["scale"][0], text["offset"][0]
    assert (low, high) == pytest.approx((step * offset, step * (offset + 2**16 - 1)), rel=1e-6)

    def said(greatest: float, weighted: bool, bundle: OpenBundle, called: str = "") -> str:
        ids = np.zeros((1, 77), np.int32)
        chunk = Chunk(ids, np.full(77, 2, np.float32) if weighted else None)
        tokens = Tokens((chunk,), 75, called=frozenset([called] if called else []))
        result = Generation([], [], tokens, tokens, (low, greatest))
        remark_on_prompts(Console(), Request("a star"), result, bundle)
        return capsys.readouterr().err

    assert "beyond the calibrated -12.2 … 12.2: what is over is cut off" in said(high + 0.5, True, quantized)
    assert said(high + 0.1, True, quantized) == said(high + 0.5, False, quantized) == said(99, True, floats) == ""
    # A vector may take them there as well.
    assert said(high + 0.5, False, quantized, "neon").startswith(
        "warning: embeddings in the prompt take the text states"
    )
