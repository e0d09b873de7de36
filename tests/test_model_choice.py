"""Which model config a checkpoint is built with, and what is said of LoRAs and the like for another model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import demo_configs
import pytest
import torch
from cli_here import CliHere
from conftest import CHECKPOINT
from reference_models import LIKE_SD15_WIDE, Architecture, save_random
from safetensors.torch import save_file
from test_loading import original
from test_lora import attention, kohya, written

from qnn_sd import resources
from qnn_sd.config import load_model
from qnn_sd.config.architecture import Architecture as CheckpointArchitecture
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError, SettingError, UnknownModelError
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint
from qnn_sd.pipeline import BuildPipeline

DRY = ("--dry-run", "--json")
TOKENIZER = ("--tokenizer", str(CHECKPOINT / "tokenizer"))
# Every command with the model options that needs no phone, without what else it takes.
COMMANDS = {
    "export": (),
    "quantize": (),
    "compile": (),
    "verify": (),
    "report": (),
    "cost": (),
    "run": ("a red circle", "--target", "cpu"),
}
DEMO_LINE = "no --checkpoint: the demo model (tiny-sd, 128x128)"


def with_text(width: int, **unet: object) -> Architecture:
    """A small checkpoint whose UNet attends to text of a width; as many tokens as the demo's tokenizer has, or more."""
    text = {**LIKE_SD15_WIDE.text, "hidden_size": width, "num_attention_heads": max(1, width // 64)}
    return replace(
        LIKE_SD15_WIDE, unet={**LIKE_SD15_WIDE.unet, "cross_attention_dim": width, "sample_size": 64, **unet}, text=text
    )


@pytest.fixture(scope="module")
def like_sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text as wide as Stable Diffusion 1.5's; all other sizes are other ones. A folder, and a file beside it."""
    folder = tmp_path_factory.mktemp("like-sd15") / "dream"
    save_random(with_text(768), folder)
    original(folder, folder.with_suffix(".safetensors"), torch.float16)
    shutil.copytree(CHECKPOINT / "tokenizer", folder / "tokenizer")
    shutil.copytree(CHECKPOINT / "scheduler", folder / "scheduler")
    return folder


def chosen(sources: Sources, name: str | None = None, size: tuple[int, int] | None = None) -> BuildPipeline:
    """A pipeline that builds nothing."""
    model = None if name is None else load_model(name)
    return BuildPipeline(model, Console(quiet=True), sources, dry_run=True, size=size)


def first_line(said: str) -> str:
    return said.splitlines()[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_and_a_file_decide_the_model(command: str, like_sd15: Path, cli_here: CliHere) -> None:
    file = like_sd15.with_suffix(".safetensors")
    for given, told_by in (((like_sd15,), "config files"), ((file, *TOKENIZER), "shapes")):
        done = cli_here(command, *COMMANDS[command], "--checkpoint", *map(str, given), *DRY)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["model"] == "sd15"
        assert document["size"] == {"width": 512, "height": 512}
        assert first_line(done.stderr) == f"model config sd15, from the checkpoint's {told_by}: 512x512"


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_checkpoint_it_is_the_demo_and_that_is_said_first(command: str, cli_here: CliHere) -> None:
    done = cli_here(command, *COMMANDS[command], *DRY)
    assert done.returncode == 0, done.stderr
    assert first_line(done.stderr) == DEMO_LINE
    assert json.loads(done.stdout)["model"] == "tiny-sd"
    assert DEMO_LINE not in cli_here(command, *COMMANDS[command], *DRY, "--quiet").stderr
    # Whoever names it knows it.
    assert "demo model" not in cli_here(command, *COMMANDS[command], *DRY, "--model", "tiny-sd").stderr


def test_the_demos_size_is_the_one_that_was_asked_for(cli_here: CliHere) -> None:
    said = cli_here("export", *DRY, "--size", "256x192").stderr
    assert first_line(said) == "no --checkpoint: the demo model (tiny-sd, 256x192)"


def test_what_builds_nothing_says_nothing_of_the_demo(cli_here: CliHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qnn_sd.cli.doctor.run_health_checks", lambda _cache: [])
    assert "demo model" not in cli_here("cost", "--graph", "nowhere").stderr
    assert "demo model" not in cli_here("doctor", "--json").stderr


def test_copies_of_the_demo_find_it_again(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path / "again")
    assert chosen(Sources(tmp_path / "again")).model == load_model("tiny-sd")
    file = original(CHECKPOINT, tmp_path / "again.safetensors")
    assert chosen(Sources(file, tokenizer=CHECKPOINT / "tokenizer")).model.name == "tiny-sd"


@pytest.mark.parametrize(
    ("unet", "is_lcm"),
    [
        ({"layers_per_block": 1}, False),
        (
            {
                "block_out_channels": (32, 64, 64),
                "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            },
            False,
        ),
        ({"time_cond_proj_dim": 256}, True),
    ],
    ids=["fewer layers", "fewer levels", "latent consistency"],
)
def test_distilled_variants_find_the_model_that_they_came_from(
    unet: dict[str, object], is_lcm: bool, tmp_path: Path
) -> None:
    save_random(with_text(768, **unet), tmp_path / "distilled")
    sources = Sources(tmp_path / "distilled", tokenizer=CHECKPOINT / "tokenizer")
    model = chosen(sources).model
    assert (model.name, model.width) == ("sd15", 512)
    assert (model.scheduler == "lcm") == is_lcm


def test_shapes_decide_where_a_config_is_silent(like_sd15: Path, tmp_path: Path, cli_here: CliHere) -> None:
    shutil.copytree(like_sd15, tmp_path / "silent")
    config = tmp_path / "silent" / "unet" / "config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if "cross" not in k}))
    said = cli_here("export", *DRY, "--checkpoint", str(tmp_path / "silent")).stderr
    assert first_line(said) == "model config sd15, from the checkpoint's shapes: 512x512"


def test_a_model_that_does_not_fit_is_refused_with_the_one_that_does(like_sd15: Path, cli_here: CliHere) -> None:
    said = cli_here.refused(3, "export", *DRY[:1], "--model", "tiny-sd", "--checkpoint", str(like_sd15))
    assert f"--model tiny-sd doesn't fit {like_sd15}" in said
    assert "text 768 wide" in said
    assert "Leave --model out, or type --model sd15." in said
    said = cli_here.refused(3, "export", *DRY[:1], "--model", "sd15", "--checkpoint", str(CHECKPOINT))
    assert "or type --model tiny-sd." in said
    # One that fits is taken without a word.
    assert "model config" not in cli_here("export", *DRY, "--model", "sd15", "--checkpoint", str(like_sd15)).stderr


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that no config fits."""
    folder = tmp_path_factory.mktemp("odd") / "odd"
    save_random(with_text(64), folder)
    return folder


def test_what_no_config_fits_is_told_with_its_figures(odd: Path, cli_here: CliHere) -> None:
    done = cli_here("export", *DRY, "--checkpoint", str(odd))
    assert json.loads(done.stdout)["model"] == "tiny-sd"
    figures = "text 64 wide, 4 latent channels, 8x8 pixels for one of the latent"
    assert (
        f"no model config fits odd ({figures}): prompts and defaults are those of tiny-sd, the nearest" in done.stderr
    )
    # Whoever names one gets it, and is told.
    done = cli_here("export", *DRY, "--checkpoint", str(odd), "--model", "sd15")
    assert json.loads(done.stdout)["model"] == "sd15"
    assert "no model config fits odd" in done.stderr


def test_a_model_config_of_ones_own_is_a_file(odd: Path, tmp_path: Path, cli_here: CliHere) -> None:
    demo_configs.changed_demo(tmp_path, {"cross_attention_dim = 96": "cross_attention_dim = 64"}, "mine")
    file = str(tmp_path / "mine.toml")
    document = cli_here.json("export", "--dry-run", "--checkpoint", str(odd), "--model", file)
    assert document["model"] == "mine"
    assert "config nowhere.toml is missing" in cli_here.refused(5, "export", "--model", "nowhere.toml")


def test_several_that_fit_are_listed(like_sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sd15", "tiny-sd"):
        shutil.copy(resources.model_configs() / f"{name}.toml", tmp_path)
    demo_configs.changed_demo(tmp_path, {"cross_attention_dim = 96": "cross_attention_dim = 768"}, "other")
    monkeypatch.setattr(resources, "model_configs", lambda: tmp_path)
    with pytest.raises(SettingError, match="Several model configs fit") as caught:
        chosen(Sources(like_sd15))
    assert "other, sd15" in caught.value.what
    assert "--model other or --model sd15" in caught.value.hint
    assert chosen(Sources(like_sd15), "other").model.name == "other"
    # As with one that is told apart by its VAE alone.
    text = (tmp_path / "other.toml").read_text()
    (tmp_path / "other.toml").write_text(text.replace("vae_factor = 8", "vae_factor = 4"))
    assert chosen(Sources(like_sd15)).model.name == "sd15"


def test_a_checkpoints_own_size_is_taken_and_said(like_sd15: Path, tmp_path: Path, cli_here: CliHere) -> None:
    shutil.copytree(like_sd15, tmp_path / "large")
    config = tmp_path / "large" / "unet" / "config.json"

    def with_size(size: object) -> None:
        config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": size}))

    command = ("export", *DRY, "--checkpoint", str(tmp_path / "large"))
    with_size(96)
    done = cli_here(*command)
    assert json.loads(done.stdout)["size"] == {"width": 768, "height": 768}
    assert "768x768 is the checkpoint's own size; for that of sd15 type --size 512x512" in done.stderr
    with_size([96, 64])
    assert json.loads(cli_here(*command).stdout)["size"] == {"width": 512, "height": 768}
    # What a person says wins.
    assert json.loads(cli_here(*command, "--size", "640x512").stdout)["size"] == {"width": 640, "height": 512}
    named = cli_here(*command, "--model", "sd15")
    assert json.loads(named.stdout)["size"] == {"width": 512, "height": 512}
    assert "the checkpoint's own is 512x768" in named.stderr
    with_size(100)
    odd_size = cli_here(*command)
    assert json.loads(odd_size.stdout)["size"] == {"width": 512, "height": 512}
    assert "the checkpoint's own size, 800x800, can't be built" in odd_size.stderr


# What was made for another model.


def refused(sources: Sources, model: str | None = None) -> QnnSdError:
    with pytest.raises(QnnSdError) as caught:
        _ = chosen(sources, model).checkpoint.tokenizer
    return caught.value


@pytest.fixture(scope="module")
def loras(like_sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A LoRA for each of the two models, by the width of their text."""
    folder = tmp_path_factory.mktemp("loras")
    found = {}
    for width, checkpoint in ((768, like_sd15), (96, CHECKPOINT)):
        found[width] = folder / f"{width}.safetensors"
        save_file(written(checkpoint, kohya, attention), found[width])
    return found


def test_a_lora_without_its_checkpoint_names_what_was_forgotten(loras: dict[int, Path], cli_here: CliHere) -> None:
    said = cli_here.refused(10, "run", "x", "--target", "cpu", "--lora", str(loras[768]))
    assert first_line(said) == DEMO_LINE
    assert "is a LoRA for a model whose text is 768 wide (sd15), the demo model's is 96" in said
    assert "Was the checkpoint forgotten? Add --checkpoint FILE or --model sd15." in said


def test_a_demo_sized_lora_on_another_checkpoint(loras: dict[int, Path], like_sd15: Path) -> None:
    error = refused(Sources(like_sd15, loras=((loras[96], 1.0),)))
    assert "is a LoRA for a model whose text is 96 wide (tiny-sd), dream's is 768" in error.what
    assert "--model tiny-sd and no --checkpoint" in error.hint


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_lora_of_one_part_tells_it_too(part: str, like_sd15: Path, tmp_path: Path) -> None:
    tensors = written(like_sd15, kohya, lambda of, module: of == part and attention(of, module))
    save_file(tensors, tmp_path / "part.safetensors")
    assert (
        "768 wide (sd15), the demo model's is 96"
        in refused(Sources(loras=((tmp_path / "part.safetensors", 1.0),))).what
    )


def test_a_lora_that_does_not_say_its_width_has_the_same_cause(like_sd15: Path, tmp_path: Path) -> None:
    tensors = written(like_sd15, kohya, lambda of, module: of == "unet" and ".attn1." in module)
    save_file(tensors, tmp_path / "selves.safetensors")
    assert "Was the checkpoint forgotten?" in refused(Sources(loras=((tmp_path / "selves.safetensors", 1.0),))).hint


def test_an_embedding_of_another_width(like_sd15: Path, tmp_path: Path) -> None:
    for width in (768, 96, 40):
        save_file({"emb_params": torch.zeros(2, width)}, tmp_path / f"{width}.safetensors")
    error = refused(Sources(embeddings=((None, tmp_path / "768.safetensors"),)))
    assert "textual inversion for a model whose text is 768 wide (sd15), the demo model's is 96" in error.what
    assert error.hint == "Was the checkpoint forgotten? Add --checkpoint FILE or --model sd15."
    error = refused(Sources(like_sd15, embeddings=((None, tmp_path / "96.safetensors"),)))
    assert "96 wide (tiny-sd), dream's is 768" in error.what
    assert "40 wide, the demo" in refused(Sources(embeddings=((None, tmp_path / "40.safetensors"),))).what


def test_a_vae_with_another_latent(like_sd15: Path, tmp_path: Path) -> None:
    shallow = {
        **LIKE_SD15_WIDE.vae,
        "block_out_channels": (32, 32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    save_random(replace(LIKE_SD15_WIDE, vae={**LIKE_SD15_WIDE.vae, "latent_channels": 16}), tmp_path / "channels")
    save_random(replace(LIKE_SD15_WIDE, vae=shallow), tmp_path / "factor")
    for checkpoint, title in ((None, "the demo model"), (like_sd15, "dream")):
        error = refused(Sources(checkpoint, vae=tmp_path / "channels" / "vae"))
        assert f"its latent has 16 channels, {title}'s 4" in error.what
        assert ("Was the checkpoint forgotten?" in error.hint) == (checkpoint is None)
        error = refused(Sources(checkpoint, vae=tmp_path / "factor" / "vae"))
        assert f"it makes 4x4 pixels for one of the latent, {title}'s 8x8" in error.what


def test_a_tokenizer_with_more_or_far_fewer_tokens(tmp_path: Path, like_sd15: Path) -> None:
    vocabulary = json.loads((CHECKPOINT / "tokenizer" / "vocab.json").read_text())
    shutil.copytree(CHECKPOINT / "tokenizer", tmp_path / "more")
    more = vocabulary | {f"more{number}": len(vocabulary) + number for number in range(900)}
    (tmp_path / "more" / "vocab.json").write_text(json.dumps(more))
    error = refused(Sources(tokenizer=tmp_path / "more"))
    assert "1,530 tokens, the text encoder knows 630" in error.why
    assert "Was the checkpoint forgotten?" in error.hint
    save_random(replace(with_text(768), text={**with_text(768).text, "vocab_size": 1400}), tmp_path / "words")
    error = refused(Sources(tmp_path / "words", tokenizer=CHECKPOINT / "tokenizer"))
    assert "630 tokens, the text encoder knows 1,400" in error.why
    # Some rows more than tokens are usual: tables are padded, and embeddings merged in.
    assert len(chosen(Sources(like_sd15)).checkpoint.tokenizer.tokens) == 630


def test_a_tokenizer_option_that_names_no_tokenizer(like_sd15: Path) -> None:
    error = refused(Sources(like_sd15.with_suffix(".safetensors"), tokenizer=Path("clip")))
    assert error.what == "--tokenizer clip is no folder"
    assert error.hint.startswith("Leave --tokenizer out: CLIP's is looked for then")
    error = refused(Sources(like_sd15, tokenizer=like_sd15))
    assert error.hint == f"Type --tokenizer {like_sd15 / 'tokenizer'}."
    assert "the checkpoint brings its own" in refused(Sources(like_sd15, tokenizer=Path("clip"))).hint


# What was meant by a --checkpoint that is none.


def hint_of(given: Path | str) -> str:
    with pytest.raises(QnnSdError) as caught:
        open_checkpoint(Sources(given))
    return f"{caught.value.why} {caught.value.hint}"


def test_a_folder_of_checkpoints_names_them(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "dream.safetensors").touch()
    assert f"Type --checkpoint {tmp_path}/one/dream.safetensors." in hint_of(tmp_path / "one")
    for name in ("ComfyUI/models/checkpoints/SD15/a.safetensors", "webui/models/Stable-diffusion/b c.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert f"--checkpoint {tmp_path}/ComfyUI/models/checkpoints/SD15/a.safetensors" in hint_of(tmp_path / "ComfyUI")
    assert "models/checkpoints/SD15/a.safetensors" in hint_of(tmp_path / "ComfyUI" / "models")
    assert f"--checkpoint '{tmp_path}/webui/models/Stable-diffusion/b c.safetensors'" in hint_of(tmp_path / "webui")
    (tmp_path / "one" / "night.safetensors").write_bytes(b"larger")
    said = hint_of(tmp_path / "one")
    assert "It holds night.safetensors, dream.safetensors." in said
    assert "Choose one, such as" in said
    shutil.copytree(CHECKPOINT, tmp_path / "all" / "mine")
    assert f"Type --checkpoint {tmp_path}/all/mine." in hint_of(tmp_path / "all")
    assert f"Type --checkpoint {tmp_path}/all/mine." in hint_of(tmp_path / "all" / "mine" / "unet")
    (tmp_path / "empty").mkdir()
    assert "Give the folder that holds model_index.json" in hint_of(tmp_path / "empty")


def test_a_name_that_is_nearly_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "dream shaper.safetensors").touch()
    assert f"Did you mean --checkpoint '{tmp_path}/models/dream shaper.safetensors'?" in hint_of(
        str(tmp_path / "models" / "dream shaper")
    )
    assert "dream shaper.safetensors" in hint_of(str(tmp_path / "models" / "draem shaper.safetensors"))
    monkeypatch.chdir(tmp_path)
    # It could be a hub id as well, and a hub isn't asked for a file that is here.
    (tmp_path / "models" / "dream").with_suffix(".safetensors").touch()
    assert "Did you mean --checkpoint models/dream.safetensors?" in hint_of("models/dream")
    assert "Type --checkpoint owner/name." in hint_of("https://huggingface.co/owner/name/tree/main")
    assert "Download the .safetensors" in hint_of("https://example.org/dream")


def test_a_hub_id_that_is_nearly_right() -> None:
    said = hint_of("stable-difusion-v1-5/stable-diffusion-v1-5")
    assert "Did you mean stable-diffusion-v1-5/stable-diffusion-v1-5?" in said


def test_what_was_given_after_the_wrong_option(like_sd15: Path, cli_here: CliHere) -> None:
    file = str(like_sd15.with_suffix(".safetensors"))
    assert f"For a checkpoint type --checkpoint {file}." in cli_here.refused(5, "export", "--model", file)
    assert "type --checkpoint owner/name. Known: sd15" in cli_here.refused(5, "export", "--model", "owner/name")
    assert "Type --model sd15." in hint_of("sd15")
    assert "It is a whole checkpoint: give it with --checkpoint." in refused(Sources(loras=((Path(file), 1.0),))).hint


@pytest.mark.parametrize(("width", "name"), [(64, "tiny-sd"), (271, "tiny-sd"), (272, "sd15"), (1024, "sd15")])
def test_the_nearest_config_is_taken_by_the_ratio_of_widths(
    width: int, name: str, odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = CheckpointArchitecture(cross_attention_dim=width, latent_channels=4, vae_factor=8)
    monkeypatch.setattr(Checkpoint, "architecture", architecture)
    assert chosen(Sources(odd)).model.name == name


def test_another_kind_of_latents_is_told_with_its_figures(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = CheckpointArchitecture(cross_attention_dim=64, latent_channels=16, vae_factor=8)
    monkeypatch.setattr(Checkpoint, "architecture", architecture)
    with pytest.raises(UnknownModelError, match="No model config fits") as refused:
        chosen(Sources(odd))
    said = str(refused.value) + refused.value.why + refused.value.hint
    assert "It has text 64 wide, 16 latent channels, 8x8 pixels for one of the latent." in said
    assert "sd15 is for text 768 wide" in said
    assert "tiny-sd is for text 96 wide" in said
    assert "--model mine.toml" in said
