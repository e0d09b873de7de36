"""One's own checkpoint through the commands: single file, LoRA, VAE, embedding, LCM; what is wrong with them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_here import CliHere
from conftest import CHECKPOINT, Cli
from diffusers import LatentConsistencyModelPipeline, LCMScheduler
from parity import check, reference_outputs
from PIL import Image
from reference_models import LIKE_SD15_WIDE, Architecture, ReferenceModels, save_random
from safetensors.torch import load_file, save_file
from test_loading import original
from test_lora import attention, kohya, written
from transformers import CLIPTokenizer

from qnn_sd.config import LCM_STEPS, load_model
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.generate import Request, TextToImage
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.targets import CpuRunner

PROMPT = "a neon circle"
# No model config fits the small checkpoints here: their text is 64 wide.
MODEL = ("--model", "tiny-sd")
QUICK = ("run", PROMPT, "--target", "cpu", "--steps", "1", "--seed", "3", *MODEL)
TOKENIZER = ("--tokenizer", str(CHECKPOINT / "tokenizer"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apart from the other tests', who look for the demo's one artifact of a name."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what people download."""
    folder = tmp_path_factory.mktemp("things")
    save_random(LIKE_SD15_WIDE, folder / "folder")
    save_random(LIKE_SD15_WIDE, folder / "other", seed=7)
    original(folder / "folder", folder / "model.safetensors", torch.float16)
    original(folder / "other", folder / "other.safetensors", torch.float16)
    save_file(written(folder / "folder", kohya, attention), folder / "lora.safetensors")
    save_file(
        {"emb_params": torch.randn(2, 64, generator=torch.Generator().manual_seed(1))}, folder / "neon.safetensors"
    )
    return folder


def pixels(cli: Cli, name: str) -> np.ndarray:
    return np.asarray(Image.open(cli.folder / name)).astype(int)


def test_each_option_changes_the_image(things: Path, cli_here: CliHere) -> None:
    base = (*QUICK, "--checkpoint", str(things / "model.safetensors"), *TOKENIZER)
    options = {
        "plain": (),
        "vae": ("--vae", str(things / "other.safetensors")),
        "lora": ("--lora", str(things / "lora.safetensors")),
        "weak lora": ("--lora", f"{things / 'lora.safetensors'}:0.5"),
        "embedding": ("--embedding", str(things / "neon.safetensors")),
        "renamed": ("--embedding", f"unused={things / 'neon.safetensors'}"),
    }
    for name, more in options.items():
        cli_here.json(*base, *more, "-o", f"{name}.png")
    images = {name: pixels(cli_here, f"{name}.png") for name in options}
    # A name that the prompt doesn't say changes nothing; all else is another image each.
    np.testing.assert_array_equal(images.pop("renamed"), images["plain"])
    names = sorted(images)
    for first in names:
        for second in names[names.index(first) + 1 :]:
            assert (images[first] != images[second]).any(), (first, second)
    # No LoRA at all is a LoRA of scale 0.
    cli_here.json(*base, "--lora", f"{things / 'lora.safetensors'}:0", "-o", "zero.png")
    np.testing.assert_array_equal(pixels(cli_here, "zero.png"), images["plain"])


def test_remarks_are_said_again_where_the_graph_is_cached(things: Path, cli_here: CliHere) -> None:
    copy = cli_here.folder / "copy"
    shutil.copytree(things / "folder", copy)
    config = copy / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 1}))
    for folder in ("first", "second"):
        done = cli_here("export", "--component", "text_encoder", "--checkpoint", str(copy), *MODEL, "-o", folder)
        assert done.returncode == 0, done.stderr
        assert "text_encoder: its config takes 1 of 2 layers, which is clip skip 2" in done.stderr


def test_what_the_user_says_of_the_prediction_reaches_the_image(things: Path, cli_here: CliHere) -> None:
    base = (*QUICK, "--checkpoint", str(things / "model.safetensors"), *TOKENIZER)
    documents = []
    for name, more in (("plain", ()), ("v", ("--prediction", "v"))):
        cli_here.json(*base, *more, "-o", f"{name}.png")
        documents.append(json.loads(Image.open(cli_here.folder / f"{name}.png").text["qnn-sd"]))
    assert (pixels(cli_here, "plain.png") != pixels(cli_here, "v.png")).any()
    assert [each["prediction"] for each in documents] == ["epsilon", "v"]
    assert documents[0]["build"] != documents[1]["build"]
    assert documents[0]["checkpoint"] == documents[1]["checkpoint"]
    # A config beside the file, which the file's hash doesn't cover, says it as well, and is missing the next time.
    beside = cli_here.folder / "model.safetensors"
    os.link(things / "model.safetensors", beside)
    beside.with_suffix(".yaml").write_text('parameterization: "v"')
    cli_here.json(*QUICK, "--checkpoint", str(beside), *TOKENIZER, "-o", "yaml.png")
    np.testing.assert_array_equal(pixels(cli_here, "yaml.png"), pixels(cli_here, "v.png"))
    given = ("--checkpoint", str(things / "model.safetensors"), *TOKENIZER)
    again = cli_here("run", "--like", "yaml.png", *given, "-o", "again.png")
    assert "again.png has the same pixels as yaml.png" in again.stderr, again.stderr


def truncated(things: Path, folder: Path) -> Path:
    path = folder / "truncated.safetensors"
    shutil.copy(things / "model.safetensors", path)
    os.truncate(path, path.stat().st_size - 1000)
    return path


def test_bad_files_have_their_codes(things: Path, cli_here: CliHere, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("bad")
    save_file({"conditioner.embedders.1.model.ln_final.bias": torch.zeros(2)}, elsewhere / "xl.safetensors")
    save_file({"lora_te2_x.lora_down.weight": torch.zeros(2, 2)}, elsewhere / "xl_lora.safetensors")
    (elsewhere / "model.ckpt").write_bytes(b"\x80\x02}")
    (elsewhere / "huge.safetensors").write_bytes((10**10).to_bytes(8, "little") + b"{}")
    model = ("--checkpoint", str(things / "model.safetensors"), *TOKENIZER)
    lora = things / "lora.safetensors"
    cases: list[tuple[int, tuple[str, ...], str]] = [
        (10, ("--checkpoint", str(truncated(things, elsewhere))), "truncated.safetensors can't be read"),
        (10, ("--checkpoint", str(elsewhere / "huge.safetensors")), "Its header would have 10,000,000,000 bytes"),
        (10, ("--checkpoint", str(elsewhere / "model.ckpt")), "runs whatever code is inside"),
        (11, ("--checkpoint", str(elsewhere / "xl.safetensors")), "is an SDXL checkpoint"),
        (11, ("--checkpoint", str(lora)), "is a LoRA"),
        (10, ("--checkpoint", str(things / "model.safetensors")), "Give --tokenizer FOLDER"),
        (10, (*model[:2], "--tokenizer", str(things)), "vocab.json is missing"),
        (11, (*model, "--lora", str(elsewhere / "xl_lora.safetensors")), "is a LoRA for SDXL"),
        (10, (*model, "--lora", str(things / "model.safetensors")), "is a whole checkpoint, and not a LoRA"),
        (10, (*model, "--lora", "nowhere.safetensors:0.5"), "nowhere.safetensors is missing"),
        (3, (*model, "--lora", f"{lora}:much"), "'much' is no scale"),
        (10, (*model, "--vae", str(lora)), "is a LoRA, and not a VAE"),
        (10, (*model, "--embedding", str(lora)), "is a LoRA, and not a textual inversion"),
    ]
    for code, arguments, message in cases:
        assert message in cli_here.refused(code, *QUICK, *arguments), arguments
    assert not list(Path(cli_here.environment["QNN_SD_CACHE"]).rglob("*.part"))


def test_nan_in_the_weights_is_told_and_nothing_is_kept(
    things: Path, cli_here: CliHere, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("nan") / "model.safetensors"
    tensors = load_file(things / "model.safetensors")
    name = "model.diffusion_model.middle_block.1.proj_in.weight"
    tensors[name][2, 1] = float("nan")
    save_file(tensors, path)
    said = cli_here.refused(10, *QUICK, "--checkpoint", str(path), *TOKENIZER)
    assert f"{name} in {path} holds NaN or infinity" in said


def test_a_tokenizer_of_another_model_is_refused(things: Path, tmp_path: Path) -> None:
    vocabulary = json.loads((CHECKPOINT / "tokenizer" / "vocab.json").read_text())
    vocabulary |= {f"more{number}": len(vocabulary) + number for number in range(11)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    shutil.copy(CHECKPOINT / "tokenizer" / "merges.txt", tmp_path)
    with pytest.raises(CheckpointError, match="isn't this text encoder's") as caught:
        _ = open_checkpoint(Sources(things / "model.safetensors", tokenizer=tmp_path)).tokenizer
    assert "641 tokens, the text encoder knows 640" in caught.value.why


def test_a_tokenizer_as_transformers_5_writes_it(things: Path, cli_here: CliHere) -> None:
    base = (*QUICK, "--checkpoint", str(things / "model.safetensors"))
    CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer").save_pretrained(cli_here.folder / "one")
    assert not (cli_here.folder / "one" / "vocab.json").exists()
    cli_here.json(*base, "--tokenizer", "one", "-o", "one.png")
    cli_here.json(*base, *TOKENIZER, "-o", "two.png")
    np.testing.assert_array_equal(pixels(cli_here, "one.png"), pixels(cli_here, "two.png"))
    (cli_here.folder / "one" / "tokenizer.json").write_text('{"model": {"vocab": []}}')
    assert "The tokenizer in one can't be read" in cli_here.refused(10, *base, "--tokenizer", "one")


LCM = Architecture(
    "lcm", {**LIKE_SD15_WIDE.unet, "time_cond_proj_dim": 256}, LIKE_SD15_WIDE.vae, LIKE_SD15_WIDE.text, (8, 8)
)


@pytest.fixture(scope="module")
def lcm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A latent consistency model's folder, as diffusers has them."""
    folder = tmp_path_factory.mktemp("lcm") / "folder"
    save_random(LCM, folder)
    LCMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).save_pretrained(
        folder / "scheduler"
    )
    shutil.copytree(CHECKPOINT / "tokenizer", folder / "tokenizer")
    return folder


def test_a_latent_consistency_model_keeps_its_scheduler(lcm: Path, cache: Path) -> None:
    """With nothing said, steps, guidance and sampler are those of diffusers' own pipeline for it."""
    models = ReferenceModels.load(lcm)
    tokenizer = CLIPTokenizer.from_pretrained(lcm / "tokenizer")
    scheduler = LCMScheduler.from_pretrained(lcm, subfolder="scheduler")
    parts = (models.vae, models.text_encoder, tokenizer, models.unet, scheduler)
    pipe = LatentConsistencyModelPipeline(*parts, None, None, requires_safety_checker=False)
    generator = torch.Generator("cpu").manual_seed(5)
    expected = np.asarray(pipe(PROMPT, height=128, width=128, generator=generator).images[0])
    pipeline = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), Sources(lcm), cache)
    assert (pipeline.model.steps, pipeline.model.guidance, pipeline.model.scheduler) == (LCM_STEPS, 8.5, "lcm")
    assert (pipeline.model.calibration.steps, pipeline.model.calibration.kept_steps) == (LCM_STEPS, LCM_STEPS)
    bundle = pipeline.cpu_bundle("float")
    request = Request(PROMPT, "", pipeline.model.steps, pipeline.model.guidance, pipeline.model.scheduler, seed=5)
    [image] = TextToImage(CpuRunner(bundle.file, optimize=True), bundle.info, bundle.tokenizer).generate(request).images
    assert psnr_db(expected, image) >= 55


def test_a_latent_consistency_model_as_a_single_file(lcm: Path, tmp_path: Path) -> None:
    opened = open_checkpoint(Sources(original(lcm, tmp_path / "lcm.safetensors")))
    assert opened.is_lcm
    assert opened.scheduler["_class_name"] == "LCMScheduler"
    outputs = reference_outputs(ReferenceModels.load(lcm), (8, 8), {"timestep_cond": 256}, seed=8)
    check(opened, "unet", (64, 64), tmp_path / "onnx", outputs["unet"])


def test_the_command_takes_its_defaults_from_the_checkpoint(lcm: Path, cli_here: CliHere) -> None:
    arguments = ("run", PROMPT, "--target", "cpu", "--seed", "3", "--checkpoint", str(lcm), *MODEL)
    document = cli_here.json(*arguments)
    assert document["components"]["unet"]["calls"] == LCM_STEPS
    metadata = Image.open(cli_here.folder / "out.png").text
    assert (metadata["steps"], metadata["guidance"], metadata["scheduler"]) == ("4", "8.5", "lcm")
    cli_here.json(*arguments, "--scheduler", "euler", "--steps", "2", "--guidance", "3")
    metadata = Image.open(cli_here.folder / "out.png").text
    assert (metadata["steps"], metadata["guidance"], metadata["scheduler"]) == ("2", "3.0", "euler")


def test_a_scheduler_config_alone_tells_it_too(things: Path, lcm: Path, cache: Path, tmp_path: Path) -> None:
    """A checkpoint with an LCM-LoRA merged in: its guidance is inside, so one pass a step is enough."""
    shutil.copytree(things / "folder", tmp_path / "merged")
    for part in ("scheduler", "tokenizer"):
        shutil.copytree(lcm / part, tmp_path / "merged" / part)
    model = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), Sources(tmp_path / "merged"), cache).model
    assert (model.steps, model.guidance, model.scheduler) == (LCM_STEPS, 1.0, "lcm")


def test_swapping_the_vae_leaves_the_other_components_alone(things: Path, cache: Path) -> None:
    def pipeline(vae: Path | None) -> BuildPipeline:
        sources = Sources(things / "model.safetensors", vae=vae, tokenizer=CHECKPOINT / "tokenizer")
        return BuildPipeline(load_model("tiny-sd"), Console(quiet=True), sources, cache)

    plain, swapped = pipeline(None), pipeline(things / "other" / "vae")
    for component in ("text_encoder", "unet"):
        assert plain.export(component).key == swapped.export(component).key
    for component in ("vae_decoder", "vae_encoder"):
        assert plain.export(component).key != swapped.export(component).key
