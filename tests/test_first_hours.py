"""The first hour of five people: what they type, what they see on a terminal of 80x24 and in a pipe, and exit codes.

Each has a table of steps. A step that is added there is played in both ways.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from adb_host import PhoneOnAdb
from conftest import CHECKPOINT, ROOT
from original_layout import to_original
from PIL import Image
from pseudo_terminal import COLUMNS, CTRL_C, Screen, Seen, in_pipe, on_terminal
from reference_models import LIKE_SD15_WIDE, SD15, Architecture, save_random
from safetensors.torch import save_file

sys.path.append(str(ROOT / "benchmarks"))

from random_checkpoint import write_tokenizer


@dataclass(frozen=True)
class Step:
    """What is typed, and what must come of it.

    Attributes:
        line: the command line; SERIAL stands for the phone's.
        code: its exit code.
        sees: texts that are on the screen afterwards; a line's end on the terminal may stand for a space.
        never: texts that aren't.
        makes: files and folders that are there afterwards.
        answers: on the terminal: what is typed as soon as a text shows.
    """

    line: str
    code: int = 0
    sees: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()


DREAM = "qnn-sd run 'a neon circle' --checkpoint dream.safetensors --size 128x128 --steps 2 --target cpu -o dream.png"
FIRST_HOURS: dict[str, tuple[Step, ...]] = {
    "an ML engineer with a phone": (
        Step("qnn-sd doctor", sees=("ran a convolution for sm8650", "phone libraries: QAIRT")),
        Step("qnn-sd devices", sees=("SERIAL", "sm8650")),
        Step(
            "qnn-sd run 'a big green square on white' -o phone.png --seed 7 --device SERIAL",
            sees=("phone.png (seed 7)", "unet", "HTP"),
            makes=("phone.png",),
        ),
        Step("qnn-sd run 'a red circle' --device SERIAL --target cpu", 3, ("error: --device has no meaning",)),
        Step("qnn-sd run 'a red circle' --device R5CT10ABCDE", 21, ("error: There is no phone 'R5CT10ABCDE'", "next:")),
        Step("qnn-sd bench --device SERIAL --perf-mode fast", 3, ("error: There is no perf mode 'fast'", "burst")),
    ),
    "a hobbyist with a checkpoint": (
        Step(f"{DREAM} --tokenizer tokenizer --seed 3", sees=("dream.png (seed 3)", "cpu"), makes=("dream.png",)),
        Step(DREAM, 10, ("error: ", "--tokenizer"), makes=("dream.png",)),
        Step(DREAM.replace("dream.", "dram."), 10, ("error: dram.safetensors is missing", "next:")),
        Step(DREAM.replace("dream.safetensors", "dream.ckpt"), 10, ("runs whatever code is inside", "next:")),
        Step("qnn-sd run a red circle", 2, ("red circle",)),
        Step("qnn-sd run 'a red circle' --steps 0", 3, ("error: --steps 0 is not possible", "Choose 1 to 1000")),
        Step("qnn-sd run 'a red circle' -o picture.jpg", 30, ("error: Can't write picture.jpg", ".png")),
    ),
    "an app developer who wants files": (
        Step("qnn-sd compile --soc sm8650 --json > made.json", never=("component",), makes=("made.json",)),
        Step(
            'ls "$(python -c \'import json; print(json.load(open("made.json"))["folder"])\')"',
            sees=("unet", "vae_decoder", "manifest.json"),
        ),
        Step("qnn-sd compile --soc sm8650 | head -1", sees=("component", "binary/QDQ, dB"), never=("error",)),
        Step("qnn-sd compile --soc sm8550 --dry-run", sees=("stages to do",)),
        Step("qnn-sd export -o graphs", sees=("graphs/unet",), makes=("graphs/unet/model.onnx",)),
        Step("qnn-sd compile --soc sm865", 4, ("error: Unknown SoC 'sm865'", "sm8650")),
        Step("set -o pipefail; qnn-sd compile --soc sm865 --json | python -m json.tool", 4, ('"code": 4', '"next": ')),
        Step("qnn-sd compile --sox sm8650", 2, ("--sox",)),
        Step("qnn-sd docs compile | head -1", sees=("# Compile",)),
    ),
    "an AI Hub user without a phone": (
        Step("qnn-sd doctor", sees=("ai hub", "For cloud devices")),
        Step("qnn-sd compile --soc sm8650", sees=("text_encoder", "vae_decoder", "Snapdragon 8 Gen 3")),
        Step(
            "qnn-sd run 'a green star' --seed 5 --steps 1 -o star.png",
            sees=("star.png", "emulator"),
            makes=("star.png",),
        ),
        Step("qnn-sd runtime list", sees=("QAIRT", "2.50")),
        Step("qnn-sd run 'a green star' --target hub", 2, ("hub", "emulator")),
        Step("qnn-sd upload", 2, ("upload",)),
        Step("qnn-sd compile --soc sm8845", 4, ("error: ", "qcs9075")),
    ),
    "a researcher": (
        Step("qnn-sd verify --prompt 'a red circle' --report report.md", sees=("report.md",), makes=("report.png",)),
        Step("qnn-sd quantize -o graphs", sees=("AdaRound", "graphs/unet"), makes=("graphs/unet/model.onnx",)),
        Step("mkdir mine && cp graphs/unet/encodings.json mine/unet.json", makes=("mine/unet.json",)),
        Step("qnn-sd quantize --component unet --encodings mine -o given", makes=("given/unet/model.onnx",)),
        Step("qnn-sd cost --component text_encoder", sees=("ms",)),
        Step("qnn-sd quantize --component unet --encodings graphs/unet", 13, ("error: ", "unet.json")),
        Step("qnn-sd quantize --rounding adarond", 2, ("adarond", "adaround")),
        Step("qnn-sd cost --component unett", 2, ("unett", "vae_decoder")),
    ),
}
FULL = "--model sd15 --checkpoint dream.safetensors --tokenizer tokenizer"
# With a checkpoint of Stable Diffusion 1.5's size: `make full-size`.
FULL_SIZE_HOURS: dict[str, tuple[Step, ...]] = {
    "a hobbyist with a checkpoint": (
        Step(f"qnn-sd run 'a lighthouse' {FULL} --target cpu --steps 1 -o dream.png", sees=("dream.png", "cpu")),
        Step(f"qnn-sd compile {FULL} --dry-run", sees=("unet", "stages to do")),
    ),
}
# As people have it: an architecture of Stable Diffusion 1.5's width, of little depth.
DREAMED = Architecture(
    "dreamed",
    {**LIKE_SD15_WIDE.unet, "cross_attention_dim": 768},
    LIKE_SD15_WIDE.vae,
    {**LIKE_SD15_WIDE.text, "hidden_size": 768, "num_attention_heads": 12, "projection_dim": 768},
    LIKE_SD15_WIDE.latent,
)


def save_as_published(architecture: Architecture, path: Path) -> None:
    """Random weights in one file of half precision, with the names that checkpoints of the web have."""
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
        save_random(architecture, Path(made))
        save_file({name: tensor.half() for name, tensor in to_original(Path(made)).items()}, path)


@pytest.fixture(scope="module")
def belongings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What they have before the hour begins."""
    folder = tmp_path_factory.mktemp("belongings")
    save_as_published(DREAMED, folder / "dream.safetensors")
    torch.save({}, folder / "dream.ckpt")
    shutil.copytree(CHECKPOINT / "tokenizer", folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def large_belongings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a checkpoint of full size, with random weights."""
    folder = tmp_path_factory.mktemp("large")
    save_as_published(SD15, folder / "dream.safetensors")
    write_tokenizer(folder / "tokenizer")
    return folder


Play = Callable[[Step, str, Path, Mapping[str, str]], Seen]


def seen_on_terminal(step: Step, line: str, folder: Path, shell: Mapping[str, str]) -> Seen:
    seen = on_terminal(line, folder, shell, step.answers)
    assert all(len(each) <= COLUMNS for each in seen.lines)
    return seen


def seen_in_pipe(step: Step, line: str, folder: Path, shell: Mapping[str, str]) -> Seen:
    seen = in_pipe(line, folder, shell)
    assert "\x1b" not in seen.raw, "colours and bars are for terminals"
    if "error: " in seen.text and "--json" not in line:
        assert "error: " not in seen.out, "what fails is said on stderr"
    return seen


def faults_of(step: Step, seen: Seen, folder: Path, serial: str) -> list[str]:
    """What isn't as the step says."""
    # A terminal breaks lines where it is full.
    text = re.sub(r"\s+", "", seen.text)
    wanted = [each.replace("SERIAL", serial) for each in step.sees]
    faults = [] if seen.code == step.code else [f"exit code {seen.code}"]
    faults += [f"not seen: {each}" for each in wanted if re.sub(r"\s+", "", each) not in text]
    faults += [f"seen: {each}" for each in (*step.never, "Traceback") if re.sub(r"\s+", "", each) in text]
    return faults + [f"not made: {each}" for each in step.makes if not (folder / each).exists()]


@pytest.mark.parametrize("play", [seen_on_terminal, seen_in_pipe])
@pytest.mark.parametrize("person", FIRST_HOURS)
def test_the_first_hour_of(
    person: str, play: Play, belongings: Path, shell: Mapping[str, str], phone: PhoneOnAdb, tmp_path: Path
) -> None:
    shutil.copytree(belongings, tmp_path / "empty")
    played(FIRST_HOURS[person], play, tmp_path / "empty", shell, phone.address)


@pytest.mark.full_size
@pytest.mark.parametrize("play", [seen_on_terminal, seen_in_pipe])
@pytest.mark.parametrize("person", FULL_SIZE_HOURS)
def test_the_first_hour_at_full_size_of(
    person: str, play: Play, large_belongings: Path, shell: Mapping[str, str], phone: PhoneOnAdb, tmp_path: Path
) -> None:
    played(FULL_SIZE_HOURS[person], play, large_belongings, {**shell, "QNN_SD_CACHE": str(tmp_path)}, phone.address)
    with Image.open(large_belongings / "dream.png") as image:
        assert image.size == (512, 512)


def played(steps: tuple[Step, ...], play: Play, folder: Path, shell: Mapping[str, str], serial: str) -> None:
    """Plays a person's steps, one after the other in one folder."""
    for step in steps:
        seen = play(step, step.line.replace("SERIAL", serial), folder, shell)
        faults = faults_of(step, seen, folder, serial)
        assert faults == [], f"$ {step.line}\n{seen.text}"


# The terminal and the table are tested, too


def shown(text: str, columns: int = 10, lines: int = 3) -> list[str]:
    screen = Screen(columns, lines)
    # As a terminal gets it: in pieces that end anywhere.
    for character in text:
        screen.feed(character)
    return screen.text.splitlines()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("one\r\ntwo", ["one", "two"]),
        ("50 %\r100", ["100%"]),
        ("50 %\r\x1b[2Kdone", ["done"]),
        ("0123456789abc", ["0123456789", "abc"]),
        ("0123456789\r\nabc", ["0123456789", "abc"]),
        ("0123456789\rx", ["x123456789"]),
        ("bar\r\n\x1b[1A\x1b[2Kpath", ["path"]),
        ("a bar that wraps\r\n\x1b[1A\x1b[2Kpath", ["a bar that", "path"]),
        ("\x1b[1;31mred\x1b[0m \x1b]8;;https://x\x1b\\link\x1b]8;;\x07 \x1b[?25l", ["red link"]),
        ("a\r\nb\r\nc\r\nd\r\n\x1b[9Ax", ["a", "b", "x", "d"]),
        ("abc\x1b[2D\x1b[Kd", ["ad"]),
        ("a\r\nb\r\nc\x1b[H\x1b[Jx", ["x"]),
        ("a\tb\x1b[1Gc", ["c       b"]),
    ],
)
def test_the_screen_shows_what_a_terminal_shows(text: str, seen: list[str]) -> None:
    assert shown(text) == seen


def test_an_escape_that_is_not_known_is_an_error() -> None:
    with pytest.raises(AssertionError, match="isn't known"):
        Screen().feed("\x1b[5S")


def test_a_question_is_answered_and_the_size_is_a_terminals(tmp_path: Path) -> None:
    line = "read -p 'Go on? ' answer; echo $answer; stty size; test -t 1 && exit 3"
    seen = on_terminal(line, tmp_path, {"PATH": "/usr/bin:/bin"}, [("Go on?", "yes\n")])
    assert (seen.code, seen.lines) == (3, ["Go on? yes", "yes", "24 80"])
    with pytest.raises(AssertionError, match="never asked: 'Sure"):
        on_terminal("echo done", tmp_path, {"PATH": "/usr/bin:/bin"}, [("Sure?", "yes\n")])


def test_ctrl_c_reaches_the_command(tmp_path: Path) -> None:
    line = "trap 'echo stopping; exit 130' INT; echo ready; while :; do sleep 0.05; done"
    seen = on_terminal(line, tmp_path, {"PATH": "/usr/bin:/bin"}, [("ready", CTRL_C)])
    assert seen.code == 130
    assert seen.lines[-1] == "^Cstopping", "as a terminal echoes it"


def test_a_pipe_is_no_terminal_and_keeps_streams_apart(tmp_path: Path) -> None:
    seen = in_pipe("echo result; echo remark >&2; test -t 1; exit 4", tmp_path, {"PATH": "/usr/bin:/bin"})
    assert (seen.code, seen.out, seen.text) == (4, "result\n", "result\nremark\n")


def test_a_step_that_goes_otherwise_is_found(tmp_path: Path) -> None:
    step = Step("", 3, sees=("at SERIAL",), never=("bar",), makes=("file",))
    seen = Seen(0, "foo\nbar", "foo\nbar", "")
    assert faults_of(step, seen, tmp_path, "host:1") == [
        *("exit code 0", "not seen: at host:1", "seen: bar", "not made: file"),
    ]
    (tmp_path / "file").touch()
    assert faults_of(step, Seen(3, "at ho\nst:1", "", ""), tmp_path, "host:1") == []
