"""``qnn-sd run --like``: the same bytes from what an image says; what is typed, missing or another is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT, json_document
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import load_file, save_file
from test_image_metadata import CONTENT, WEB_UI, theirs

from qnn_sd.artifact import sha256_of_file
from qnn_sd.export.checkpoint import hub
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS

PROMPT = 'a red circle,\n"Steps: 3" 🎨'
QUICK = ("--target", "cpu", "--steps", "2", "--seed", "3")


pytestmark = pytest.mark.usefixtures("bundles_in_cache")


def document(path: Path) -> Any:
    """The document in an image; it follows its schema."""
    return json_document(Image.open(path).text["qnn-sd"])  # type: ignore[attr-defined]


def changed(source: Path, copy: Path, **changes: Any) -> None:
    """A copy of an image whose document says something else."""
    image = Image.open(source)
    info = PngInfo()
    info.add_text("qnn-sd", json.dumps({**document(source), **changes}))
    image.save(copy, pnginfo=info)


def same_files(cli: CliHere, first: str, second: str) -> bool:
    return (cli.folder / first).read_bytes() == (cli.folder / second).read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "cpu", "--steps", "3", "--negative", "a, b: c", "--scheduler", "euler-a", "--guidance", "6.3"),
        ("--target", "cpu", "--precision", "w8a16", "--steps", "2", "--guidance", "1"),
    ],
)
def test_the_same_file_comes_again(options: tuple[str, ...], cli_here: CliHere) -> None:
    first = cli_here.json("run", PROMPT, *options, "--seed", "18446744073709551614", "-o", "first.png")
    done = cli_here("run", "--like", "first.png", "-o", "second.png")
    assert done.returncode == 0, done.stderr
    assert same_files(cli_here, "first.png", "second.png")
    assert "second.png has the same pixels as first.png" in done.stderr
    assert "warning" not in done.stderr
    [image] = first["images"]
    assert document(cli_here.folder / "first.png") == image["metadata"]
    assert image["metadata"]["prompt"] == PROMPT


def test_an_image_of_the_emulator_says_how_it_was_made_and_comes_again(cli_here: CliHere) -> None:
    options = ("--steps", "1", "--seed", "3", "--soc", "sm8650", "-o", "e.png")
    made = cli_here.json("run", PROMPT, *options)["images"][0]["metadata"]
    texts = Image.open(cli_here.folder / "e.png").text  # type: ignore[attr-defined]
    assert made["checkpoint"]["name"] == "tiny-sd"
    assert (made["checkpoint"]["kind"], made["vae"]["kind"], made["target"]) == ("kit", "checkpoint", "emulator")
    assert made["soc"] == {"name": "sm8650", "dl_mode": 2, "soc_model": 57, "htp_arch": 75}
    quantization = made["quantization"]
    assert set(quantization["schemes"]) == set(quantization["verification"]) == set(TEXT_TO_IMAGE_COMPONENTS)
    assert (quantization["rounding"], quantization["encodings"], quantization["prompts"]) == ("adaround", {}, None)
    worst = min(each["qdq_against_float_db"] for each in quantization["verification"].values())
    assert f"against float at least {worst:.1f} dB" in texts["verified"]
    assert set(made["versions"]) == {"qnn-sd", "onnxruntime", "onnxruntime-qnn", "qairt"}
    assert (texts["soc"], texts["htp"], texts["rounding"]) == ("sm8650", "v75", "adaround")
    assert texts["checkpoint"] == f"tiny-sd ({made['checkpoint']['sha256'][:10]})"
    prompt, _, fields = theirs(texts["parameters"])
    assert (prompt, fields["Sampler"], fields["Size"]) == (PROMPT, "DPM++ 2M", "128x128")
    assert fields["Model hash"] == made["checkpoint"]["sha256"][:10]
    done = cli_here("run", "--like", "e.png", "-o", "again.png")
    assert "again.png has the same pixels as e.png" in done.stderr
    assert "warning" not in done.stderr
    assert same_files(cli_here, "e.png", "again.png")


def test_one_of_several_comes_again_alone(cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK, "--count", "2", "-o", "a.png")
    cli_here.json("run", "--like", "a-4.png", "-o", "b.png")
    assert same_files(cli_here, "a-4.png", "b.png")
    cli_here.json("run", "--like", "a-3.png", "--count", "2", "-o", "c.png")
    assert same_files(cli_here, "a-4.png", "c-4.png")


def test_what_is_typed_holds_and_is_said(cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK, "-o", "a.png")
    done = cli_here("run", "a star", "--like", "a.png", "--steps", "1", "--seed", "3", "--json", "-o", "b.png")
    made = json.loads(done.stdout)["images"][0]["metadata"]
    assert (made["prompt"], made["steps"], made["seed"], made["target"]) == ("a star", 1, 3, "cpu")
    assert "the prompt 'a star' instead of the image's 'a red circle,?" in done.stderr
    assert "--steps '1' instead of the image's '2'" in done.stderr
    assert "--seed" not in done.stderr
    assert "b.png has other pixels than a.png: " in done.stderr


def test_another_place_is_said_before_the_work(cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK, "-o", "a.png")
    done = cli_here("run", "--like", "a.png", "--soc", "sm8650", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "made on the target cpu, this one is made on the target emulator" in done.stderr
    assert "made by float graphs, this one by quantized ones" in done.stderr
    soc, quantization = CONTENT["soc"], CONTENT["quantization"]
    versions = {**document(cli_here.folder / "a.png")["versions"], "onnxruntime": "1.0.0"}
    changed(
        cli_here.folder / "a.png",
        cli_here.folder / "phone.png",
        **{"target": "phone", "soc": soc, "quantization": quantization, "versions": versions},
    )
    done = cli_here("run", "--like", "phone.png", "--dry-run")
    assert "target phone, this one is made on the target emulator; --device SERIAL" in done.stderr
    assert "the image was made with onnxruntime 1.0.0, here is " in done.stderr
    done = cli_here("run", "--like", "phone.png", "--soc", "sm8550", "--dry-run")
    assert "binaries for sm8650, this one by those for sm8550" in done.stderr
    done = cli_here("run", "--like", "phone.png", "--target", "cpu", "--dry-run", "--json")
    assert "target phone, this one is made on the target cpu" in done.stderr
    assert {stage["stage"] for stage in json.loads(done.stdout)["stages"]} >= {"quantize"}, "QDQ graphs, as it had"


def test_a_build_that_is_another_is_said(cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK, "-o", "a.png")
    changed(cli_here.folder / "a.png", cli_here.folder / "b.png", build="0" * 64)
    done = cli_here("run", "--like", "b.png")
    assert "the graphs were built otherwise" in done.stderr
    changed(cli_here.folder / "a.png", cli_here.folder / "c.png", tokenizer="0" * 64)
    assert "the tokenizer's files differ from the image's" in cli_here("run", "--like", "c.png").stderr


def test_the_image_itself_is_not_overwritten(cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK)
    before = (cli_here.folder / "out.png").read_bytes()
    assert "It is the image that --like names" in cli_here.refused(30, "run", "--like", "out.png", "-o", "out.png")
    assert cli_here.json("run", "--like", "out.png", "--steps", "1")["images"][0]["file"] == "out-again.png"
    assert (cli_here.folder / "out.png").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"steps": 10**9}, 3, "--steps 1000000000 is not possible"),
        ({"seed": -1}, 3, "seed: Input should be greater than or equal to 0"),
        ({"guidance": float("nan")}, 3, "--guidance nan is not possible"),
        ({"guidance": 1e300}, 3, "--guidance 1e+300 is not possible"),
        ({"size": {"width": 64_000, "height": 64_000}}, 3, "--size 64000x64000 is not possible"),
        ({"size": {"width": 10**9, "height": 64}}, 3, "is no size"),
        ({"model": "../../etc/passwd"}, 3, "is a path, not a file's name"),
        ({"model": "mine"}, 5, "Unknown model"),
        ({"model": "a\x1b[2J"}, 3, "not a file's name"),
        ({"scheduler": "lms"}, 6, "The scheduler 'lms' isn't built"),
        ({"target": "emulator", "soc": {**CONTENT["soc"], "name": "sm9999"}}, 4, "sm9999"),
        ({"target": "everywhere"}, 3, "target: Input should be"),
    ],
)
def test_hostile_values_meet_the_checks_of_typed_ones(
    changes: dict[str, Any], code: int, message: str, cli_here: CliHere
) -> None:
    if not (cli_here.folder / "a.png").exists():
        cli_here.json("run", PROMPT, *QUICK, "-o", "a.png")
    changed(cli_here.folder / "a.png", cli_here.folder / "b.png", **changes)
    assert message in cli_here.refused(code, "run", "--like", "b.png", "-o", "c.png", "--json")


def test_what_is_no_image_of_ours_is_refused(cli_here: CliHere) -> None:
    (cli_here.folder / "a.png").write_bytes(b"GIF89a")
    assert "can't be read as a PNG image" in cli_here.refused(3, "run", "--like", "a.png")
    assert "no.png is missing" in cli_here.refused(3, "run", "--like", "no.png", "--json")
    assert "The prompt is missing" in cli_here.refused(2, "run")


def test_another_tools_image_needs_its_checkpoint(cli_here: CliHere) -> None:
    info = PngInfo()
    info.add_text("parameters", WEB_UI.replace("512x768", "128x128"))
    Image.new("RGB", (128, 128)).save(cli_here.folder / "a.png", pnginfo=info)
    message = cli_here.refused(10, "run", "--like", "a.png", "--target", "cpu")
    assert "was made with the checkpoint v1-5-pruned 6ce0161689, which isn't given" in message
    options = ("--target", "cpu", "--steps", "1", "--checkpoint", str(CHECKPOINT), "-o", "b.png")
    done = cli_here("run", "--like", "a.png", *options)
    assert done.returncode == 0, done.stderr
    assert "the image's checkpoint has the hash 6ce0161689, this one " in done.stderr
    assert "--lora PATH:0.6" in done.stderr
    made = document(cli_here.folder / "b.png")
    assert (made["prompt"], made["seed"], made["guidance"]) == ("masterpiece, (a cat:1.2) AND [a|b]", 965400086, 6.5)


# One's own files


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo under another name and another one like it, a VAE, a LoRA, a textual inversion."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(CHECKPOINT, folder / "dream")
    shutil.copytree(CHECKPOINT, folder / "other")
    file = folder / "other" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "conv_in.bias": tensors["conv_in.bias"] + 1}, file)
    shutil.copytree(CHECKPOINT / "vae", folder / "soft")
    file = folder / "soft" / "diffusion_pytorch_model.safetensors"
    softer = load_file(file)
    save_file({**softer, "decoder.conv_out.bias": softer["decoder.conv_out.bias"] + np.float32(0.1)}, file)
    name = next(each for each in tensors if each.endswith("attn1.to_q.weight"))
    out, into = tensors[name].shape
    rng = np.random.default_rng(1)
    flat = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
    for lora in ("bold", "calm"):
        down, up = rng.normal(size=(4, into)).astype(np.float32), rng.normal(size=(out, 4)).astype(np.float32)
        save_file({f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}, folder / f"{lora}.safetensors")
    save_file({"emb_params": rng.normal(size=(1, 96)).astype(np.float32)}, folder / "neon.safetensors")
    return folder


@pytest.fixture(scope="module")
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cli(own_cache_folder: Path, tmp_path: Path) -> CliHere:
    """The command with a cache of its own: others look for the demo's one artifact of a name."""
    return CliHere(own_cache_folder, tmp_path)


def test_ones_own_files_are_asked_for_and_found_by_their_hashes(own: Path, own_cli: CliHere) -> None:
    files = (
        *("--checkpoint", str(own / "dream"), "--vae", str(own / "soft")),
        *("--lora", f"{own / 'bold.safetensors'}:0.5", "--lora", str(own / "calm.safetensors")),
        *("--embedding", f"shine={own / 'neon.safetensors'}"),
    )
    own_cli.json("run", "a shine circle", *QUICK, *files, "-o", "a.png")
    made = document(own_cli.folder / "a.png")
    assert (made["checkpoint"]["name"], made["checkpoint"]["kind"]) == ("dream", "folder")
    assert (made["vae"]["name"], made["vae"]["kind"]) == ("soft", "folder")
    bold, calm = (own / f"{name}.safetensors" for name in ("bold", "calm"))
    assert [(each["name"], each["scale"], each["sha256"]) for each in made["loras"]] == [
        ("bold.safetensors", 0.5, sha256_of_file(bold)),
        ("calm.safetensors", 1.0, sha256_of_file(calm)),
    ]
    neon = {"name": "shine", "file": "neon.safetensors", "kind": "file"}
    assert made["embeddings"] == [{**neon, "sha256": sha256_of_file(own / "neon.safetensors")}]
    texts = Image.open(own_cli.folder / "a.png").text  # type: ignore[attr-defined]
    assert theirs(texts["parameters"])[0] == "a shine circle <lora:bold:0.5> <lora:calm:1>"
    assert str(own) not in " ".join(texts.values())

    # Each is asked for in its turn; scales, names and the order are the image's, whatever the files are called.
    message = own_cli.refused(10, "run", "--like", "a.png", "-o", "b.png")
    assert "a.png was made with the checkpoint dream, which isn't given" in message
    assert "next: qnn-sd run --like a.png --checkpoint PATH/dream" in message
    given = ["run", "--like", "a.png", "-o", "b.png", "--checkpoint", str(own / "dream")]
    assert "the VAE soft, which isn't given" in own_cli.refused(10, *given)
    given += ["--vae", str(own / "soft")]
    assert "the LoRA bold.safetensors, which isn't given" in own_cli.refused(10, *given)
    shutil.copy(bold, own_cli.folder / "renamed.safetensors")
    given += ["--lora", str(calm), "--lora", "renamed.safetensors"]
    assert "the embedding neon.safetensors, which isn't given" in own_cli.refused(10, *given)
    given += ["--embedding", str(own / "neon.safetensors")]
    own_cli.json(*given)
    first, second = (np.asarray(Image.open(own_cli.folder / name)) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(first, second)
    again = document(own_cli.folder / "b.png")
    renamed = {**made["loras"][0], "name": "renamed.safetensors"}
    assert again == {**made, "loras": [renamed, made["loras"][1]]}


def test_files_beside_the_image_are_found(own: Path, own_cli: CliHere) -> None:
    options = ("--checkpoint", str(own / "dream"), "--lora", f"{own / 'bold.safetensors'}:0.5")
    own_cli.json("run", "a circle", *QUICK, *options, "-o", str(own / "beside.png"))
    done = own_cli("run", "--like", str(own / "beside.png"), "-o", "b.png")
    assert done.returncode == 0, done.stderr
    assert (own / "beside.png").read_bytes() == (own_cli.folder / "b.png").read_bytes()


def test_a_checkpoint_of_the_hub_is_had_by_its_id(own_cli: CliHere, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, download: bool = True) -> Path:
        asked.append((name, download))
        return CHECKPOINT

    monkeypatch.setattr(hub, "fetch_checkpoint", fetch)
    own_cli.json("run", "a circle", *QUICK, "--checkpoint", "somebody/dream", "-o", "a.png")
    made = document(own_cli.folder / "a.png")
    assert (made["checkpoint"]["name"], made["checkpoint"]["kind"]) == ("somebody/dream", "hub")
    own_cli.json("run", "--like", "a.png", "-o", "b.png")
    assert same_files(own_cli, "a.png", "b.png")
    assert own_cli("run", "--like", "a.png", "--dry-run").returncode == 0
    assert asked == [("somebody/dream", True), ("somebody/dream", True), ("somebody/dream", False)]


def test_another_checkpoint_is_refused_and_more_files_are_said(own: Path, own_cli: CliHere) -> None:
    own_cli.json("run", "a circle", *QUICK, "--checkpoint", str(own / "dream"), "-o", "a.png")
    message = own_cli.refused(10, "run", "--like", "a.png", "--checkpoint", str(own / "other"), "-o", "b.png")
    assert "other is another checkpoint than that of a.png" in message
    assert "leave --like out: qnn-sd run 'a circle' --seed 3" in message
    # The demo has the same bytes, so it is the same checkpoint.
    done = own_cli("run", "--like", "a.png", "--checkpoint", str(CHECKPOINT), "-o", "b.png")
    assert "b.png has the same pixels as a.png" in done.stderr
    more = ("--lora", str(own / "bold.safetensors"), "--vae", str(own / "soft"))
    done = own_cli("run", "--like", "a.png", "--checkpoint", str(CHECKPOINT), *more, "-o", "c.png")
    assert "--lora as typed; the image had 0" in done.stderr
    assert "--vae as typed; the image's is the checkpoint's own" in done.stderr
    assert "c.png has other pixels than a.png" in done.stderr


def test_given_encodings_and_prompts_are_asked_for(own_cli: CliHere, cli_here: CliHere) -> None:
    cli_here.json("run", PROMPT, *QUICK, "-o", "a.png")
    (cli_here.folder / "unet.json").write_text("{}")
    digest = sha256_of_file(cli_here.folder / "unet.json")
    quantization = {**CONTENT["quantization"], "encodings": {"unet": digest}}
    changed(cli_here.folder / "a.png", cli_here.folder / "b.png", quantization=quantization)
    message = cli_here.refused(3, "run", "--like", "b.png")
    assert "quantized with unet.json (SHA-256 begins " in message
    assert "next: qnn-sd run --like b.png --encodings FOLDER" in message
    message = cli_here.refused(3, "run", "--like", "b.png", "--encodings", "quantized")
    assert "quantized/unet.json is missing or another one" in message
    # As quantize writes them: they are the image's, so that only AIMET's reader refuses them.
    (cli_here.folder / "quantized" / "unet").mkdir(parents=True)
    shutil.copy(cli_here.folder / "unet.json", cli_here.folder / "quantized" / "unet" / "encodings.json")
    message = cli_here.refused(13, "run", "--like", "b.png", "--encodings", "quantized")
    assert "encodings.json" in message
    quantization = {**CONTENT["quantization"], "prompts": digest}
    changed(cli_here.folder / "a.png", cli_here.folder / "b.png", quantization=quantization)
    (cli_here.folder / "prompts.txt").write_text("a cat")
    message = cli_here.refused(3, "run", "--like", "b.png", "--prompts", "prompts.txt")
    assert "quantized with prompts (SHA-256 begins " in message
    assert "prompts.txt is missing or another one" in message
