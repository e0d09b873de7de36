"""Slips on the command line: what people type, and the line that they are told to type instead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from cli_here import CliHere
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qnn_sd.cli.app import cli as group
from qnn_sd.cli.spellings import ALSO, COMMANDS, EXAMPLES, INSTEAD
from qnn_sd.cli.suggested_line import can_be_typed
from qnn_sd.generate.schedulers import SCHEDULERS, scheduler_named

QUOTES = "Put the prompt in quotes"


@pytest.fixture
def here(tmp_path: Path) -> CliHere:
    """A cache that nothing is in: no slip gets as far as to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    return CliHere(tmp_path / "cache", folder)


def refused(here: CliHere, line: str) -> dict[str, str]:
    """The parts of the message that a line is refused with."""
    program, *arguments = shlex.split(line)
    assert program == "qnn-sd"
    # What is told is the same as a document; its own form is tested elsewhere.
    said = here.refused(2, *arguments)
    found = re.fullmatch(r"error: (.+)\.\n(?:  why:  (.+)\n)?  next: (.+)\n", said)
    assert found, said
    return {"what": found[1], "why": found[2] or "", "next": found[3]}


@pytest.mark.parametrize(
    ("typed", "what", "to_type"),
    [
        ("run a red circle", QUOTES, 'qnn-sd run "a red circle"'),
        ("run a red circle --seed 3", QUOTES, 'qnn-sd run "a red circle" --seed 3'),
        ("run --seed 3 a red --steps 5 circle", QUOTES, 'qnn-sd run "a red circle" --seed 3 --steps 5'),
        ("run a cat --negative 'a dog, $5' -q", QUOTES, "qnn-sd run \"a cat\" --negative 'a dog, $5' -q"),
        ("""run "it's" a dog""", QUOTES, '''qnn-sd run "it's a dog"'''),
        ("run a '$5' note", QUOTES, "qnn-sd run 'a $5 note'"),
        ("run “a red circle”", QUOTES, 'qnn-sd run "a red circle"'),
        ("run a cat cpu", QUOTES, 'qnn-sd run "a cat cpu"'),
        ("run 'a red circle' on blue", QUOTES, 'qnn-sd run "a red circle on blue"'),
        ("run", "The prompt is missing", 'qnn-sd run "a red circle on a blue background"'),
        ("run -n 2", "The prompt is missing", 'qnn-sd run "a red circle on a blue background" -n 2'),
        ("run 'a cat' 'a dog' -q", 'There is more than one prompt: "a cat", "a dog"', 'qnn-sd run "a cat" -q'),
        ("run --prompt 'a cat' --seed 3", "There is no option --prompt", 'qnn-sd run "a cat" --seed 3'),
        ("run x -steps 3", "-steps is no option", "qnn-sd run x --steps 3"),
        ("run x —steps 3", "—steps is no option", "qnn-sd run x --steps 3"),
        ("run x -o=a.png", "-o=a.png is no option with a value", "qnn-sd run x -o a.png"),
        ("run 'a cat' steps=20", "steps=20 is no option", 'qnn-sd run "a cat" --steps 20'),
        ("run 'a cat' out.png", "out.png is no option", 'qnn-sd run "a cat" -o out.png'),
        ("run 'a cat' 8gen3", "8gen3 is no option", 'qnn-sd run "a cat" --soc 8gen3'),
        ("run x --size 512 x 768", "A size has no spaces", "qnn-sd run x --size 512x768"),
        ("'a red circle' --seed 3", 'There is no command "a red circle"', 'qnn-sd run "a red circle" --seed 3'),
        ("a red circle", "There is no command a", 'qnn-sd run "a red circle"'),
        ("dream.safetensors", "There is no command dream.safetensors", "run PROMPT --checkpoint dream.safetensors"),
        ("complie --soc sm8650", "There is no command complie", "Did you mean qnn-sd compile --soc sm8650?"),
        ("generate 'a cat'", "There is no command generate", 'Did you mean qnn-sd run "a cat"?'),
        ("txt2img a cat --seed 3", "There is no command txt2img", 'Did you mean qnn-sd run "a cat" --seed 3?'),
        ("build", "There is no command build", "Did you mean qnn-sd compile?"),
        ("Devices", "There is no command Devices", "Did you mean qnn-sd devices?"),
        ("runtime featch", "There is no command featch", "Did you mean qnn-sd runtime fetch?"),
        ("--soc sm8650 run 'a cat'", "--soc comes after the command", 'qnn-sd run "a cat" --soc sm8650'),
        ("--json devices", "--json comes after the command", "qnn-sd devices --json"),
        ("--steps 3 'a cat'", "--steps comes after a command", 'qnn-sd run "a cat" --steps 3'),
        ("compile sm8650 --dry-run", "sm8650 is no option", "qnn-sd compile --soc sm8650 --dry-run"),
        ("compile dream.safetensors", "dream.safetensors is no option", "compile --checkpoint dream.safetensors"),
        ("run x --size 512 768", "A size has no spaces", "qnn-sd run x --size 512x768"),
        ("export out/", "out/ is no option", "qnn-sd export -o out/"),
        ("export unet", "unet is no option", "qnn-sd export --component unet"),
        ("doctor phone", "phone is no option", "qnn-sd doctor --phone"),
        ("bench bench.json", "bench.json is no option", "qnn-sd bench -o bench.json"),
        ("unstage R5CT1234ABC", "R5CT1234ABC is no option", "qnn-sd unstage --device R5CT1234ABC"),
        ("cost unet --plot u.svg", "unet is no option", "qnn-sd cost --component unet --plot u.svg"),
    ],
)
def test_the_line_to_type_is_said(typed: str, what: str, to_type: str, here: CliHere) -> None:
    said = refused(here, f"qnn-sd {typed}")
    assert said["what"] == what
    assert said["next"].removeprefix("Type ") == to_type or said["next"].endswith(f" {to_type}")


@pytest.mark.parametrize(
    ("typed", "what", "hint"),
    [
        ("run x --seed --steps 5", "--seed has no value", "Give it one, such as --seed 42."),
        ("run x --negative --steps 5", "--negative has no value", 'such as --negative "blurry, text".'),
        ("run x --steps", "--steps has no value", "Give it one, such as --steps 20."),
        ("run x --steps twenty", "--steps twenty is no whole number", "Give one, such as --steps 20."),
        ("run x --steps 2.5", "--steps 2.5 is no whole number", "Give one, such as --steps 20."),
        ("run x --guidance 7,5", "--guidance 7,5 is no number", "Write it with a point: --guidance 7.5."),
        ("run x --cfg much", "--guidance much is no number", "Give one, such as --guidance 7.5."),
        ("run x --target gpu", "--target gpu is not possible", "Choose emulator, cpu, phone or hub:DEVICE."),
        ("unstage --older-than -1", "--older-than -1 is not possible", "Choose 0 or more."),
        ("hub resume --deadline 0", "--deadline 0 is not possible", "Choose more than 0."),
        ("unstage --older-than soon", "--older-than soon is no whole number", "such as --older-than 30."),
        ("run x --json=yes", "--json takes no value", "Type --json alone."),
        ("run x --step 3", "There is no option --step", "Did you mean --steps? qnn-sd run --help lists the options."),
        ("run x --width 512", "There is no option --width", "--size 512x768 (width x height)."),
        ("run x -v", "There is no option -v", "--debug adds a failure's traceback."),
        ("verify --soc sm8550 --soc sm8650", "--soc is given twice", "Leave one of them out."),
        ("compile --verify --no-verify", "--verify and --no-verify contradict each other", "Leave one of them out."),
        ("completion", "The shell is missing", "Such as: qnn-sd completion bash"),
        ("completion tcsh", "tcsh is not possible", "Choose bash, zsh or fish."),
        ("completion bash zsh", "zsh is too much", "qnn-sd completion --help lists the options."),
        (
            "export --component unet,vae_decoder",
            "--component unet,vae_decoder is not",
            "--component unet --component vae",
        ),
        ("export --component all", "--component all is not possible", "All is what holds without it: leave it out."),
        ("run x --batch-size 4", "There is no option --batch-size", "Type -n 4"),
        ("export --opset 17", "There is no option --opset", "qnn-sd export --help lists the options."),
        ("devices sm8650", "sm8650 belongs to no option", "qnn-sd devices --help lists the options."),
    ],
)
def test_a_value_is_named_with_an_example(typed: str, what: str, hint: str, here: CliHere) -> None:
    said = refused(here, f"qnn-sd {typed}")
    assert said["what"].startswith(what)
    assert hint in said["next"]
    assert ("Did you mean" in said["next"]) == ("Did you mean" in hint)


@pytest.fixture
def files(here: CliHere) -> CliHere:
    """Files that the lines below name: an image that a web UI made, one that says nothing, weights."""
    made = PngInfo()
    made.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 512x512")
    Image.new("RGB", (64, 64)).save(here.folder / "own.png", pnginfo=made)
    Image.new("RGB", (64, 64)).save(here.folder / "photo.png")
    (here.folder / "My Models").mkdir()
    for name in ("My Models/dream v1.safetensors", "bench.json", "own image.png"):
        (here.folder / name).touch()
    return here


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("run like own.png --target cpu", "run --like own.png --target cpu"),
        ("run 'a cat' own.png", 'run "a cat" --like own.png'),
        ("run a cat own.png", 'run "a cat" --like own.png'),
        ("run a cat -o own.png", 'run "a cat" -o own.png'),
        ("generate --like own.png", "run --like own.png"),
        ("--like own.png", "run --like own.png"),
        ("run 'a cat' --negative blurry, ugly", 'run "a cat" --negative "blurry, ugly"'),
        ("run a cat --negative blurry, ugly --seed 3", 'run "a cat" --negative "blurry, ugly" --seed 3'),
        ("run --negative blurry, ugly a cat", 'run "a cat" --negative "blurry, ugly"'),
        ("run --negative blurry, ugly 'a cat'", 'run "a cat" --negative "blurry, ugly"'),
        ("run --negative blurry a cat", 'run "a cat" --negative blurry'),
        ("run 'a cat' --negative=blurry ugly new.png", 'run "a cat" --negative "blurry ugly" -o new.png'),
        ("run 'a cat' --lora ink.safetensors 0.7", 'run "a cat" --lora ink.safetensors:0.7'),
        (
            "run 'a cat' --lora My Models/dream v1.safetensors 0.7",
            'run "a cat" --lora "My Models/dream v1.safetensors:0.7"',
        ),
        ("run 'a cat' steps 20 512x768", 'run "a cat" --steps 20 --size 512x768'),
        ("dream.safetensors 'a cat' --seed 3", 'run "a cat" --seed 3 --checkpoint dream.safetensors'),
        ("run 'a cat' -o my image.png", 'run "a cat" -o "my image.png"'),
        ("run 'a cat' --soc Snapdragon 8 Gen 3 -q", 'run "a cat" --soc "Snapdragon 8 Gen 3" -q'),
        ("run 'a cat' --scheduler DPM++ 2M", 'run "a cat" --scheduler "DPM++ 2M"'),
        ("run --scheduler euler a cat", 'run "a cat" --scheduler euler'),
        (
            "compile --checkpoint My Models/dream v1.safetensors",
            'compile --checkpoint "My Models/dream v1.safetensors"',
        ),
        (
            "run 'a cat' --checkpoint My Models/dream v1.safetensors",
            'run "a cat" --checkpoint "My Models/dream v1.safetensors"',
        ),
        ("compile --soc sm8650 sm8550 --dry-run", "compile --soc sm8650 --soc sm8550 --dry-run"),
        ("compile sm8650 sm8550", "compile --soc sm8650 --soc sm8550"),
        ("run dream.safetensors 'a lighthouse'", 'run "a lighthouse" --checkpoint dream.safetensors'),
        ("export dream.safetensors out", "export --checkpoint dream.safetensors -o out"),
        ("txt2img --prompt 'a cat'", 'run "a cat"'),
        ("--prompt 'a cat' --seed 3", 'run "a cat" --seed 3'),
        (
            "txt2img --prompt 'a cat' --num_inference_steps 20 --W 512 --H 768",
            'run "a cat" --num-inference-steps 20 --size 512x768',
        ),
        ("run --soc sm8650 --prompt='a cat' --W 512", 'run "a cat" --soc sm8650 --size 512'),
    ],
)
def test_the_line_loses_nothing(typed: str, line: str, files: CliHere) -> None:
    hint = refused(files, f"qnn-sd {typed}")["next"]
    assert hint in (f"Type qnn-sd {line}", f"Did you mean qnn-sd {line}?")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("run 'a cat' photo.png", "To make it again give --like photo.png;"),
        ("run like photo.png", "To make it again give --like photo.png;"),
        ("run 'a cat' -o own image.png", "qnn-sd run --help lists the options."),
        ("run dream.safetensors ink.safetensors", "qnn-sd run --help lists the options."),
        ("bench bench.json", "qnn-sd bench --help lists the options."),
        ("run a cat --bogus 3", "qnn-sd run --help lists the options."),
        ("generate x --bogus", "Did you mean the command run? qnn-sd run --help lists the options."),
        ("run a cat --soc nothing", "Supported:"),
        ("run x --device SERIAL", "qnn-sd devices lists them."),
    ],
)
def test_a_line_that_fails_or_overwrites_is_not_said(typed: str, hint: str, files: CliHere) -> None:
    said = files(*shlex.split(typed)).stderr
    assert f"next: {hint}" in said
    assert "Type qnn-sd" not in said
    assert "-o photo.png" not in said


@pytest.mark.parametrize(
    ("line", "typed", "is_fit"),
    [
        (["run", "a cat", "-o", "own.png"], ["a cat"], False),
        (["run", "a cat", "-o", "own.png"], ["a", "cat", "-o", "own.png"], True),
        (["run", "a cat", "-o", "own.png"], ["a", "cat", "--output=own.png"], True),
        (["run", "a cat", "-o", "new.png"], ["a cat"], True),
        (["bench", "-o", "bench.json"], [], False),
        (["run", "a", "cat"], [], False),
        (["runtime", "fetch"], [], True),
        (["runtime", "featch"], [], False),
    ],
)
def test_which_lines_can_be_typed(
    line: list[str], typed: list[str], is_fit: bool, files: CliHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files.folder)
    assert can_be_typed(click.Context(group, info_name="qnn-sd"), line, typed) is is_fit


def test_underscores_are_dashes() -> None:
    line = "run x --negative_prompt a_b --num_inference_steps=3 --guidance_scale 2 --no_verify"
    params = parsed(*line.split())
    assert (params["negative"], params["steps"], params["guidance"], params["verify"]) == ("a_b", 3, 2.0, False)
    assert parsed("run", "--", "--negative_prompt")["prompt"] == "--negative_prompt"


@pytest.mark.parametrize(
    ("name", "title"),
    [("sdxl", "SDXL"), ("sd3", "Stable Diffusion 3"), ("flux", "FLUX"), ("sd21", "Stable Diffusion 2")],
)
def test_a_model_of_another_architecture_is_named(name: str, title: str, here: CliHere) -> None:
    said = here("export", "--model", name).stderr
    assert f"{title} isn't supported; model configs: sd15, tiny-sd" in said
    assert "Did you mean" not in said


@pytest.mark.parametrize(
    ("prompt", "remark"),
    [
        ("own.png", "the prompt is the name of a file here: own.png"),
        ("doctor", "the prompt is the name of a command: doctor"),
        ("PROMPT", "PROMPT stands for a prompt of your own"),
        ("a doctor", None),
    ],
)
def test_an_odd_prompt_is_remarked_on(prompt: str, remark: str | None, files: CliHere) -> None:
    """Once, and it goes on: nothing is built here."""
    done = files("run", prompt, "--target", "cpu", "--dry-run")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "rompt" in line.replace("PROMPT", "prompt")] == (
        [f"warning: {remark}"] if remark else []
    )


def test_an_option_of_another_command_is_told_as_such(here: CliHere) -> None:
    said = refused(here, "qnn-sd run x --rounds 3")
    assert (said["what"], said["why"]) == ("There is no option --rounds", "It is one of qnn-sd bench.")
    assert (
        refused(here, "qnn-sd export --soc sm8650")["why"] == "It is one of qnn-sd compile, qnn-sd verify and others."
    )


@pytest.mark.parametrize(
    "line", ["run x --seed 3 --seed 3", "run x --quiet -q", "compile --component unet --component unet"]
)
def test_the_same_twice_is_no_slip(line: str, here: CliHere) -> None:
    said = here(*shlex.split(line), "--bogus").stderr
    assert "twice" not in said


def test_what_is_pasted_is_what_was_meant(here: CliHere) -> None:
    """A shell takes the line apart into the prompt and the options that were typed."""
    words = ["it's", "a", "$5", 'a"note"', "\\", "!"]
    said = here("run", *words, "--negative", "a 'b' \"c\" $d", "-n", "2").stderr
    line = said.partition("next: Type ")[2]
    assert shlex.split(line) == ["qnn-sd", "run", " ".join(words), "--negative", "a 'b' \"c\" $d", "-n", "2"]


@pytest.mark.parametrize(
    "line",
    ["--help", "-h", "help", "-help", "-?", "run -h", "run --help", "run help", "help run", "help runtime fetch", ""],
)
def test_help_is_asked_for_in_many_ways(line: str, here: CliHere) -> None:
    done = here(*line.split())
    assert (done.returncode, done.stderr) == (0, "")
    named = " ".join(word for word in line.split() if word[0] not in "-h")
    assert done.stdout.startswith(f"Usage: qnn-sd {named}".rstrip())


@pytest.mark.parametrize("line", ["--version", "-V", "-v", "version"])
def test_the_version_is_asked_for_in_many_ways(line: str, here: CliHere) -> None:
    done = here(line)
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["qnn-sd,", "version"])


def test_help_can_be_a_prompt(here: CliHere) -> None:
    done = here("run", "--steps", "0", "--", "help")
    assert (done.returncode, done.stdout) == (3, "")


def parsed(*arguments: str) -> dict[str, object]:
    name, *rest = arguments
    return group.commands[name].make_context(name, list(rest), parent=click.Context(group, info_name="qnn-sd")).params


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("--seed -1", "seed", None),
        ("--seed 7", "seed", 7),
        *((f"{name} 3", "guidance", 3.0) for name in ("--guidance", "--guidance-scale", "--cfg", "--cfg-scale")),
        *((f"{name} 3", "steps", 3) for name in ("--steps", "--num-inference-steps")),
        *((f"{name} 3", "count", 3) for name in ("--count", "-n", "--num-images")),
        *((f"{name} blur", "negative", "blur") for name in ("--negative", "--negative-prompt")),
        *((f"{name} 'DPM++ 2M'", "scheduler", "dpm++2m") for name in ("--scheduler", "--sampler")),
        *((f"{name} a.png", "output", Path("a.png")) for name in ("-o", "--output", "--out", "--file")),
        ("--soc 'Snapdragon 8 Gen 3'", "soc", "sm8650"),
        ("--chip SM8550-AC", "soc", "sm8550"),
        ("--target CPU", "target", "cpu"),
        ("--rounding Nearest", "rounding", "nearest"),
        ("--output=~/a.png", "output", Path("~/a.png")),
        ("--checkpoint=~/a.safetensors", "checkpoint", "~/a.safetensors"),
    ],
)
def test_a_spelling_means_its_option(typed: str, name: str, value: object) -> None:
    if "~" in str(value):  # of the home that this process has now
        value = type(value)(Path(str(value)).expanduser())  # type: ignore[call-arg]
    assert parsed("run", "x", *shlex.split(typed))[name] == value


def test_a_component_may_have_a_dash_and_capitals() -> None:
    assert parsed("export", "--component", "VAE-Decoder")["components"] == ("vae_decoder",)


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        *(
            (text, (512, 768))
            for text in ("512x768", "512X768", "512\u00d7768", "512*768", "512,768", "512 x 768", "512:768")
        ),
        *((text, (512, 512)) for text in ("512", " 512 ", "512px")),
        *((text, None) for text in ("big", "512x", "x512", "512x512x3", "-512", "5.5", "")),
    ],
)
def test_sizes(typed: str, size: tuple[int, int] | None, here: CliHere) -> None:
    if size is None:
        assert f"{typed!r} is no size" in here.refused(3, "export", f"--size={typed}")
        return
    side = f"{size[0] + 1}x{size[1]}"
    odd = typed.replace(str(size[0]), str(size[0] + 1), 1)
    expected = side if size[0] != size[1] else f"{size[0] + 1}x{size[0] + 1}"
    assert f"--size {expected} is not possible" in here.refused(3, "export", "--size", odd)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        *((name, "dpm++2m") for name in ("dpm++2m", "DPM++ 2M", "dpmpp_2m", "DPMSolverMultistepScheduler")),
        *((name, "euler-a") for name in ("Euler a", "euler_ancestral", "k_euler_a", "EulerAncestralDiscreteScheduler")),
        *((name, "euler") for name in ("Euler", "k_euler", "EulerDiscreteScheduler")),
        *((name, "ddim") for name in ("DDIM", "DDIMScheduler")),
        *((name, "lcm") for name in ("LCM", "LCMScheduler")),
    ],
)
def test_schedulers_as_people_spell_them(name: str, own: str) -> None:
    assert scheduler_named(name) == own
    assert own in SCHEDULERS


def test_the_tables_of_spellings_name_what_is_there() -> None:
    """No entry is for an option or a command that has gone, and none hides a name that is used."""
    options = [each for command in group.commands.values() for each in command.params if isinstance(each, click.Option)]
    listed = {name for each in options for name in each.opts if name not in getattr(each, "also", ())} | {"--version"}
    assert set(ALSO) | set(EXAMPLES) <= listed
    for meant in COMMANDS.values():
        assert meant.split()[0] in group.commands
    assert not set(COMMANDS) & set(group.commands)
    run = {name for each in group.commands["run"].params if isinstance(each, click.Option) for name in each.opts}
    assert not set(INSTEAD) & run
