"""The commands as a user types them, in processes of their own: results, remarks, failures."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT, ROOT, Cli, interrupt_at, json_document
from PIL import Image

from qnn_sd import __version__
from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.pipeline import BuildPipeline

PROMPT = "a red circle on a blue background"
QUICK = ("--target", "cpu", "--steps", "2", "--seed", "3")


pytestmark = pytest.mark.usefixtures("bundles_in_cache")


def test_run_saves_a_image_with_what_made_it(cli: Cli) -> None:
    document = cli.json("run", PROMPT, *QUICK, "--negative", "square", "--scheduler", "euler", "-o", "my image.png")
    [saved] = document["images"]
    assert (saved["file"], saved["seed"], saved["metadata"]["prompt"]) == ("my image.png", 3, PROMPT)
    assert (document["target"], document["soc"], document["fallbacks"]) == ("cpu", None, [])
    components = document["components"]
    assert {name: (c["target"], c["calls"]) for name, c in components.items()} == {
        "text_encoder": ("cpu", 2),
        "unet": ("cpu", 4),
        "vae_decoder": ("cpu", 1),
    }
    assert all(component["seconds"] > 0 for component in components.values())
    image = Image.open(cli.folder / "my image.png")
    assert image.size == (128, 128)
    metadata = image.text
    assert metadata["prompt"] == PROMPT
    assert metadata["negative_prompt"] == "square"
    assert (metadata["seed"], metadata["steps"], metadata["scheduler"], metadata["model"]) == (
        "3",
        "2",
        "euler",
        "tiny-sd",
    )
    assert metadata["software"] == f"qnn-sd {__version__}"
    assert metadata["onnxruntime-qnn"]
    assert metadata["verified"] == "float graphs: nothing to verify"


def test_run_on_the_emulator_uses_the_socs_binary(cli: Cli) -> None:
    document = cli.json("run", PROMPT, "--steps", "1", "--seed", "3", "--soc", "SM8650", "-o", "e.png")
    assert (document["target"], document["soc"]) == ("emulator", "sm8650")
    assert {c["target"] for c in document["components"].values()} == {"emulator"}
    metadata = Image.open(cli.folder / "e.png").text
    assert (metadata["target"], metadata["soc"], metadata["precision"]) == ("emulator", "sm8650", "w8a16")
    assert "context binaries against QDQ graphs at least " in metadata["verified"]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_count_makes_the_next_seeds_and_guidance_one_a_single_pass(cli_here: CliHere) -> None:
    document = cli_here.json("run", PROMPT, *QUICK, "--count", "2", "--guidance", "1", "-o", "a.png")
    assert [image["seed"] for image in document["images"]] == [3, 4]
    assert [image["file"] for image in document["images"]] == ["a-3.png", "a-4.png"]
    assert document["components"]["unet"]["calls"] == 2 * 2
    assert document["components"]["text_encoder"]["calls"] == 1
    cli_here.json("run", PROMPT, "--target", "cpu", "--steps", "2", "--seed", "4", "--guidance", "1", "-o", "b.png")
    np.testing.assert_array_equal(pixels(cli_here.folder / "a-4.png"), pixels(cli_here.folder / "b.png"))
    assert (pixels(cli_here.folder / "a-3.png") != pixels(cli_here.folder / "a-4.png")).any()


def test_people_see_a_table_and_scripts_only_json(cli: Cli) -> None:
    done = cli("run", PROMPT, *QUICK)
    assert done.returncode == 0
    assert "out.png (seed 3)" in done.stdout
    assert "ms per call" in done.stdout
    assert "generating on cpu" in done.stderr
    quiet = cli("run", PROMPT, *QUICK, "--quiet")
    assert "generating" not in quiet.stderr


def test_long_plain_prompts_are_cut_and_it_is_said(cli: Cli) -> None:
    done = cli("run", "a red circle " * 770, *QUICK, "--plain-prompt")  # 10,010 characters
    assert done.returncode == 0
    assert "75 tokens were used, this was cut: a red circle a red" in done.stderr
    assert "characters)" in done.stderr


@pytest.mark.parametrize("prompt", ["", "  ", "🎨🔴", "红色的圆,蓝色背景", "--", "$(touch hacked)", "two\nlines"])
def test_strange_prompts_are_generated(prompt: str, cli: Cli) -> None:
    done = cli("run", *QUICK, "--", prompt)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["out.png"]
    assert Image.open(cli.folder / "out.png").text["prompt"] == prompt
    assert ("the prompt is empty" in done.stderr) == (not prompt.strip())


def test_a_prompt_that_is_no_utf8_is_generated(cli: Cli) -> None:
    command = [argument.encode() for argument in cli.command("run", *QUICK)]
    done = subprocess.run(
        [*command, b"red \xff circle"],
        cwd=cli.folder,
        env=cli.environment,
        check=False,
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert (cli.folder / "out.png").is_file()


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (4, ("compile", "--soc", "sm8660"), "No SoC of that number has a profile"),
        (4, ("run", "x", "--soc", "snapdargon 8 gen 2"), "Did you mean sm8550 (Snapdragon 8 Gen 2)?"),
        (5, ("run", "x", "--model", "tiny_sd"), "Did you mean tiny-sd?"),
        (6, ("run", "x", "--scheduler", "dpm++2"), "Did you mean dpm++2m?"),
        (3, ("run", "x", "--steps", "0"), "--steps 0 is not possible"),
        (3, ("run", "x", "--steps", "2000"), "--steps 2000 is not possible"),
        (3, ("run", "x", "--guidance", "0.5"), "--guidance 0.5 is not possible"),
        (3, ("run", "x", "--guidance", "nan"), "--guidance nan is not possible"),
        (3, ("run", "x", "--count", "0"), "--count 0 is not possible"),
        (3, ("run", "x", "--seed", "-2"), "--seed -2 is not possible"),
        (3, ("run", "x", "--scheduler", "lcm", "--steps", "51", "--target", "cpu"), "not possible with lcm"),
        (3, ("run", "x", "--target", "cpu", "--soc", "sm8650"), "no meaning with --target cpu"),
        (2, ("run", "x", "--target", "gpu"), "--target gpu is not possible"),
        (2, ("run", "x", "--step", "3"), "--steps"),
        (2, ("run",), "The prompt is missing"),
        (30, ("run", "x", "-o", "missing/out.png"), "No such file or directory"),
        (30, ("run", "x", "-o", "/sys/out.png"), "Can't write /sys/out.png"),
        (30, ("run", "x", "-o", "."), "It is a folder"),
        (30, ("run", "x", "-o", "out.jpg"), "Images are saved as PNG"),
        (10, ("run", "x", "--checkpoint", "nowhere"), "nowhere is missing"),
        (3, ("run", "x", "--size", "100x128"), "Choose --size 128x128"),
        (3, ("compile", "--size", "64x4096"), "Choose --size 64x2048"),
        (3, ("export", "--size", "0x64"), "Choose --size 64x64"),
        (3, ("export", "--size", "big"), "'big' is no size"),
        (2, ("export", "--component", "vae"), "Choose text_encoder, unet, vae_decoder or vae_encoder"),
        (30, ("export", "-o", "/sys/out"), "Can't write /sys/out"),
    ],
)
def test_bad_input_is_refused_with_its_own_code(
    code: int, arguments: tuple[str, ...], message: str, cli_here: CliHere
) -> None:
    assert message in cli_here.refused(code, *arguments)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ("run",)),
        (3, ("run", "x", "--steps", "0")),
        (4, ("compile", "--soc", "sm8660")),
        (30, ("run", "x", "-o", ".")),
    ],
)
def test_a_failures_code_is_the_process_own(code: int, arguments: tuple[str, ...], cli: Cli) -> None:
    assert cli.refused(code, *arguments).startswith("error: ")


def test_a_disk_that_fills_up_leaves_nothing_behind(cli: Cli) -> None:
    """The kernel refuses to let a file grow past 1 kB, as a full disk would refuse it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    message = cli.refused(30, "run", PROMPT, *QUICK, "-o", "out.png", preexec_fn=limit)
    assert "Can't write out.png" in message


def test_a_full_file_system_leaves_nothing_behind(cli: Cli) -> None:
    full = cli.folder / "full"
    full.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", full], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting a file system of 8 kB needs root")
    try:
        message = cli.refused(30, "run", PROMPT, *QUICK, "-o", "full/out.png")
        assert "No space left on device" in message
        assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", full], check=True)


def test_a_truncated_context_binary_is_refused(cli: Cli, own_cache: Path) -> None:
    binary = next((own_cache / "bundle").glob("tiny-sd.sm8650-*/unet/htp/*.bin"))
    size = binary.stat().st_size
    os.truncate(binary, size // 2)
    message = cli.refused(12, "run", PROMPT, "--steps", "1", environment={"QNN_SD_CACHE": str(own_cache)})
    assert f"{binary.name} is damaged" in message
    assert f"{size // 2:,} bytes" in message
    assert "Delete" in message


def test_a_manifest_that_does_not_match_is_refused(cli_here: CliHere, own_cache: Path) -> None:
    manifest = next((own_cache / "export").glob("tiny-sd.unet-*/manifest.json"))
    content = json.loads(manifest.read_text())
    content["files"]["weights.bin"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    message = cli_here.refused(12, "run", PROMPT, *QUICK, environment={"QNN_SD_CACHE": str(own_cache)})
    assert "SHA-256 is not the one in the manifest" in message


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "text_encoder/model"])
@pytest.mark.parametrize(
    ("share", "what"),
    [(0.0, "is empty"), (0.0001, "can't be read"), (0.5, "can't be read"), (0.99, "can't be read")],
)
def test_a_truncated_checkpoint_is_refused(
    part: str, share: float, what: str, cli_here: CliHere, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoint = tmp_path_factory.mktemp("checkpoint") / "copy"
    shutil.copytree(CHECKPOINT, checkpoint)
    weights = checkpoint / f"{part}.safetensors"
    os.truncate(weights, int(weights.stat().st_size * share))
    message = cli_here.refused(10, "run", PROMPT, *QUICK, "--checkpoint", str(checkpoint))
    assert f"{weights.name} {what}" in message
    assert not list((Path(cli_here.environment["QNN_SD_CACHE"])).rglob("*.part"))


def test_a_component_that_cannot_load_falls_back_and_says_so(cli: Cli, refused_cache: Path) -> None:
    done = cli("run", PROMPT, "--steps", "1", "--json", environment={"QNN_SD_CACHE": str(refused_cache)})
    assert done.returncode == 0, done.stderr
    document = json_document(done.stdout)
    [fallback] = document["fallbacks"]
    assert (fallback["component"], fallback["target"]) == ("unet", "cpu")
    assert fallback["reason"]
    assert document["components"]["unet"]["target"] == "cpu"
    assert document["components"]["vae_decoder"]["target"] == "emulator"
    assert "warning: unet: cpu (" in done.stderr


def test_without_fallback_it_fails(cli: Cli, refused_cache: Path) -> None:
    arguments = ("run", PROMPT, "--steps", "1", "--no-fallback")
    message = cli.refused(20, *arguments, environment={"QNN_SD_CACHE": str(refused_cache)})
    assert "unet can't be loaded on emulator" in message


@pytest.mark.parametrize("target", ["cpu", "emulator"])
def test_ctrl_c_while_generating(target: str, cli: Cli) -> None:
    with cli.start("run", PROMPT, "--target", target, "--steps", "1000", "--count", "100") as process:
        said = interrupt_at(process, "generating on")
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert list(cli.folder.iterdir()) == []


def test_ctrl_c_while_compiling(cli: Cli, own_cache: Path) -> None:
    shutil.rmtree(own_cache / "compile")
    with cli.start("compile", environment={"QNN_SD_CACHE": str(own_cache)}) as process:
        said = interrupt_at(process, "compiling: text_encoder, unet, ")
    assert process.returncode == 130, said
    # The text encoder takes half a second and may be done. The UNet takes four.
    assert not list(own_cache.glob("compile/*unet*"))
    assert not list(own_cache.glob("compile/.*"))
    assert compilers(own_cache) == []


def test_ctrl_c_while_verifying(cli: Cli, own_cache: Path) -> None:
    """What was compiled stays; the emulator's processes don't."""
    shutil.rmtree(own_cache / "verify")
    with cli.start("compile", environment={"QNN_SD_CACHE": str(own_cache)}) as process:
        said = interrupt_at(process, "verifying on the emulator")
    assert process.returncode == 130, said
    assert compilers(own_cache, "qnn_sd.compile.verifier_child") == []
    assert len(list(own_cache.glob("compile/*"))) == 4
    assert not list(own_cache.glob("verify/.*"))
    # The QDQ graphs were held against float before.
    assert len(list(own_cache.glob("verify/*.qdq-*"))) == 4


def test_a_killed_command_takes_its_compiler_along(cli: Cli, own_cache: Path) -> None:
    shutil.rmtree(own_cache / "compile")
    with cli.start("compile", environment={"QNN_SD_CACHE": str(own_cache)}) as process:
        assert process.stderr is not None
        assert any("compiling: text_encoder, unet, " in line for line in process.stderr)
        deadline = time.monotonic() + 60
        while not (found := compilers(own_cache)):
            assert time.monotonic() < deadline, "no compiler was started"
        ended = os.pidfd_open(found[0])
        process.kill()
    assert select.select([ended], [], [], 60)[0], "the compiler goes on without its parent"
    os.close(ended)


def compilers(cache: Path, module: str = "qnn_sd.compile.compiler_child") -> list[int]:
    """The compiler's child processes that work for a cache."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if module.encode() in (line := _command_line(path)) and str(cache).encode() in line
    ]


def _command_line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process ended meanwhile
        return b""


def test_a_crash_shows_no_traceback_without_debug(cli: Cli, own_cache: Path) -> None:
    """A cache that is a file: an error of the operating system, told in three lines."""
    file = own_cache / "file"
    file.write_text("")
    message = cli.refused(30, "run", PROMPT, *QUICK, environment={"QNN_SD_CACHE": str(file)})
    assert "QNN_SD_CACHE" in message
    done = cli("run", PROMPT, *QUICK, "--debug", environment={"QNN_SD_CACHE": str(file)})
    assert "Traceback" in done.stderr


def test_the_cache_is_used(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    first = cli_here.json("compile", "--soc", "sm8650")
    again = cli_here.json("compile", "--soc", "sm8650")
    assert again["folder"] == first["folder"]
    assert again["dl_mode"] == 2
    assert set(again["components"]) == {"text_encoder", "unet", "vae_decoder", "vae_encoder"}
    assert all(component["cached"] for component in again["components"].values())
    assert all(component["seconds"] > 0 for component in again["components"].values())
    for name, component in again["components"].items():
        verification = component["verification"]
        assert verification["qdq_against_float"]["worst_db"] >= 40
        assert verification["binary_against_qdq"]["worst_db"] >= 50
        assert verification["binary_against_qdq"]["worst_input"]
        # Every setting that was calibrated, of the UNet alone; the two guidance passes' difference as well.
        settings = [(each["setting"]["guidance"], each["setting"]["negative"]) for each in verification["settings"]]
        expected = [(1, False), (4, False), (4, True), (7.5, False), (7.5, True)] if name == "unet" else []
        assert sorted(settings) == expected
        for compared in ("qdq_against_float", "binary_against_qdq"):
            assert (verification[compared]["difference_db"] is not None) == (name == "unet")
    assert again["verified"] == first["verified"]
    assert "QDQ graphs against float at least " in again["verified"]
    assert "context binaries against QDQ graphs at least " in again["verified"]
    assert again["calibration"]["file"] == "tiny_sd_prompts/calibration.txt"
    assert again["calibration"]["samples"]["unet"] > 0
    done = cli_here("compile")
    assert "binary/QDQ, dB" in done.stdout
    assert "QDQ/float, dB" in done.stdout
    assert "dl_mode 2" in done.stdout


def test_what_was_never_verified_says_so(cli: Cli, own_cache: Path, pipeline: BuildPipeline) -> None:
    """In the table, in the document, on stderr and in the image; nothing is measured."""
    cli.environment["QNN_SD_CACHE"] = str(own_cache)
    shutil.rmtree(own_cache / "verify")
    document = cli.json("compile", "--no-verify")
    assert document["verified"] == "NOT VERIFIED (--no-verify)"
    assert [component["verification"] for component in document["components"].values()] == [None] * 4
    assert not list(own_cache.glob("verify/*"))
    done = cli("run", PROMPT, "--steps", "1", "--seed", "3", "--no-verify", "-o", "n.png")
    assert done.returncode == 0, done.stderr
    assert "warning: NOT VERIFIED (--no-verify)" in done.stderr
    assert Image.open(cli.folder / "n.png").text["verified"] == "NOT VERIFIED (--no-verify)"
    assert not list(own_cache.glob("verify/*"))


def test_doctor_is_well_here(cli: Cli) -> None:
    document = cli.json("doctor")
    checks = {check["name"]: check for check in document["checks"]}
    assert list(checks) == ["python", "packages", "toolchain", "reference", "emulator", "disk", "adb", "ai hub"]
    assert document["healthy"]
    assert "ran a convolution for sm8650" in checks["emulator"]["found"]
    assert all(check["next"] for check in checks.values() if check["status"] != "ok")
    assert cli("doctor", environment={"QAIHUB_API_TOKEN": "secret"}).stdout.count("secret") == 0


def test_doctor_finds_a_hard_failure(cli: Cli) -> None:
    done = cli("doctor", "--json", environment={"QNN_SD_CACHE": "/sys/cache"})
    assert done.returncode == 40
    document = json_document(done.stdout)
    assert not document["healthy"]
    assert (document["error"]["code"], document["error"]["name"]) == (40, "UnhealthyError")
    [failed] = [check for check in document["checks"] if check["status"] == "failed"]
    assert failed["name"] == "disk"
    assert "QNN_SD_CACHE" in failed["next"]
    assert failed["next"] == document["error"]["next"]


def test_version_and_help(cli_here: CliHere) -> None:
    assert __version__ in cli_here("--version").stdout
    for command in ("export", "compile", "run", "doctor"):
        assert command in cli_here("--help").stdout
        assert "--json" in cli_here(command, "--help").stdout


def test_another_checkpoint_is_another_artifact(cache: Path, tmp_path: Path) -> None:
    """The same bytes elsewhere are the same artifact; one changed weight is another."""
    copy = tmp_path / "copy"
    shutil.copytree(CHECKPOINT, copy)
    same = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), Sources(copy), cache).export("unet")
    assert same.cached
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert not BuildPipeline(load_model("tiny-sd"), Console(quiet=True), Sources(copy), cache).export("unet").cached


def test_readme_names_the_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for line in ("make demo", "make test", "qnn-sd compile --soc sm8650", "qnn-sd doctor"):
        assert line in text


def test_export_writes_graphs_that_run_here(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    document = cli_here.json("export", "-o", "graphs", "--component", "unet", "--component", "text_encoder")
    assert list(document["components"]) == ["text_encoder", "unet"]
    assert document["size"] == {"width": 128, "height": 128}
    for name in ("text_encoder", "unet"):
        folder = cli_here.folder / "graphs" / name
        assert document["components"][name]["folder"] == f"graphs/{name}"
        expected = {path.name: path.read_bytes() for path in pipeline.export(name).folder.iterdir()}
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
        onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    assert "is there already, with the same content" in cli_here("export", "-o", "graphs", "--component", "unet").stderr
    assert "text_encoder" in cli_here("export").stdout


def test_quantize_writes_graphs_encodings_and_gains(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    document = cli_here.json("quantize", "-o", "graphs", "--component", "text_encoder")
    told = document["components"]["text_encoder"]
    assert told["rounding"] == "adaround"
    assert told["rounded_layers"]["adaround"] == told["rounded_layers"]["layers"] > 0
    folder = cli_here.folder / "graphs" / "text_encoder"
    expected = {path.name: path.read_bytes() for path in pipeline.quantize("text_encoder").folder.iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
    assert {"model.onnx", "encodings.json", "rounding.json"} <= expected.keys()
    nearest = cli_here.json("quantize", "--component", "text_encoder", "--rounding", "nearest")
    assert nearest["components"]["text_encoder"]["rounding"] == "nearest"
    assert nearest["components"]["text_encoder"]["rounded_layers"] is None
    assert nearest["components"]["text_encoder"]["folder"] != str(pipeline.quantize("text_encoder").folder)
    assert "36 of 36" in cli_here("quantize", "--component", "text_encoder").stdout
    line = ("quantize", "-o", "graphs", "--component", "text_encoder", "--rounding", "nearest")
    assert "It holds the result of another build" in cli_here.refused(30, *line)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
    replaced = cli_here.json(*line, "--force")
    assert replaced["components"]["text_encoder"]["rounding"] == "nearest"
    assert (folder / "weights.bin").read_bytes() != expected["weights.bin"]
    assert [path.name for path in folder.parent.iterdir()] == ["text_encoder"], "nothing is left beside it"


def test_another_size_is_another_image(cli_here: CliHere, own_cache: Path) -> None:
    """Not square, in steps of 64; the demo's network takes any."""
    cli_here.environment["QNN_SD_CACHE"] = str(own_cache)
    cli_here.json("run", PROMPT, *QUICK, "--size", "192x64")
    assert Image.open(cli_here.folder / "out.png").size == (192, 64)
    document = cli_here.json("export", "--component", "unet", "--size", "64x192")
    graph = onnx.load(Path(document["components"]["unet"]["folder"]) / "model.onnx", load_external_data=False).graph
    shape = [size.dim_value for size in graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 4, 24, 8]


def test_a_dry_run_tells_what_is_there_and_makes_nothing(cli_here: CliHere, own_cache: Path) -> None:
    cli_here.environment["QNN_SD_CACHE"] = str(own_cache)
    before = sorted(own_cache.rglob("*"))
    stages = cli_here.json("run", PROMPT, "--dry-run")["stages"]
    assert all(stage["cached"] and stage["last_seconds"] >= 0 for stage in stages)
    of_unet = [stage["stage"] for stage in stages if stage["component"] == "unet"]
    assert of_unet == ["export", "quantize", "verify", "compile", "verify"]
    verified = [stage["subject"] for stage in stages if (stage["stage"], stage["component"]) == ("verify", "unet")]
    assert verified == ["qdq", "sm8650"]
    recorded = [(stage["component"], stage["subject"]) for stage in stages if stage["stage"] == "calibrate"]
    assert recorded == [(None, None), (None, "held_out"), (None, "verification")]
    told = [tuple(stage[key] for key in ("stage", "component", "subject")) for stage in stages]
    assert len(set(told)) == len(told), "two stages can't be told apart"
    other = cli_here.json("compile", "--soc", "qcs9075", "--size", "64x64", "--dry-run")
    # Another size and SoC: all is to do, and what was made here says nothing of it.
    assert not any(stage["cached"] for stage in other["stages"])
    assert not any(stage["last_seconds"] for stage in other["stages"])
    assert all(stage["estimated_seconds"] > 0 for stage in other["stages"])
    assert other["known_seconds"] == 0
    each_alone = sum(stage["estimated_seconds"] for stage in other["stages"])
    assert each_alone / 2 < other["estimated_seconds"] <= each_alone
    # Another SoC alone: the stages before it are cached.
    soc = cli_here.json("compile", "--soc", "qcs9075", "--dry-run")["stages"]
    # Only some commands need the VAE's encoder.
    ahead = [stage["stage"] for stage in soc if not stage["cached"] and stage["component"] != "vae_encoder"]
    assert ahead == [*["compile"] * 3, *["verify"] * 3, "bundle"]
    assert "to do" in cli_here("export", "--size", "64x64", "--dry-run").stdout
    assert sorted(own_cache.rglob("*")) == before
    assert list(cli_here.folder.iterdir()) == []


def test_a_dry_run_downloads_nothing(cli: Cli, tmp_path: Path) -> None:
    message = cli.refused(10, "export", "--model", "sd15", "--dry-run", environment={"HF_HUB_CACHE": str(tmp_path)})
    assert "isn't downloaded yet" in message
    assert "without --dry-run" in message
