"""Every shell block of the documentation is typed as it stands, or says why not; and what would be wrong is found."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from functools import cache as cached
from pathlib import Path

import click
import pytest
from adb_host import PhoneOnAdb, free_port
from conftest import ROOT
from shell_blocks import Block, Typist, blocks_of, lines_that_differ
from test_docs import PAGES
from tour import write_dream

from qnn_sd.cli.app import cli as commands
from qnn_sd.errors import UsageError
from qnn_sd.pipeline import BuildPipeline


@cached
def blocks() -> dict[str, list[Block]]:
    """Those of each page that has any."""
    found = {str(page.relative_to(ROOT)): blocks_of(page.read_text("utf-8"), page.name) for page in PAGES}
    return {page: some for page, some in found.items() if some}


def test_there_are_some_and_most_are_run() -> None:
    assert {"README.md", "docs/phone.md", "docs/compile.md"} <= blocks().keys()
    lines = [line for some in blocks().values() for block in some if not block.reasons for line in block.lines]
    assert len(lines) > 20
    assert any("--device SERIAL" in line.text for line in lines)


def test_no_command_hides_in_a_block_of_another_language() -> None:
    for page in PAGES:
        for language, text in re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text("utf-8"), re.M | re.S):
            if language not in ("sh", "bash", "shell", "console"):
                assert not re.search(r"^ *(\$ |qnn-sd |pip |make |git )", text, re.M), (page.name, text)


@pytest.mark.parametrize("page", blocks())
def test_a_mark_gives_a_reason_that_holds(page: str) -> None:
    assert [fault for block in blocks()[page] for fault in block.faults_of_mark()] == []


@pytest.mark.parametrize("page", blocks())
def test_commands_that_are_not_run_exist(page: str) -> None:
    """Their options and choices, too: by click itself."""
    for block in blocks()[page]:
        for line in block.lines if block.reasons else ():
            # The word itself is refused: it stands for a phone's.
            text = line.text.replace("\\\n", "").replace("SERIAL", "R5CT1234ABC")
            program, *arguments = shlex.split(text, comments=True)
            if program == "qnn-sd":
                assert understood(arguments), (block.place, line.text)


def understood(arguments: list[str]) -> bool:
    """Whether a command line is accepted; nothing is run."""
    reached: click.Command = commands
    try:
        context = reached.make_context("qnn-sd", list(arguments))
        while isinstance(reached, click.Group):
            name, found, rest = reached.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None
            reached, context = found, found.make_context(name, rest, parent=context)
    except UsageError:
        return False
    return True


@pytest.fixture(scope="module")
def typist(shell: Mapping[str, str], phone: PhoneOnAdb, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Has a phone that adb lists."""
    return Typist(shell, {"SERIAL": phone.address, "5755": str(free_port())}, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def provided(pipeline: BuildPipeline, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """What readers are taken to have where a page names it."""
    folder = tmp_path_factory.mktemp("provided")
    (folder / "my_encodings").mkdir()
    for name in ("text_encoder", "unet", "vae_decoder"):
        made = pipeline.quantize(name).folder / "encodings.json"
        (folder / "my_encodings" / f"{name}.json").write_bytes(made.read_bytes())
    write_dream(folder / "dream.safetensors")
    (folder / "mine.txt").write_text("a red circle on a blue background\na green star on white\n")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("page", [page for page, some in blocks().items() if not all(block.reasons for block in some)])
def test_a_pages_blocks_are_typed(page: str, typist: Typist, provided: Mapping[str, Path]) -> None:
    text = " ".join(line.text for block in blocks()[page] if not block.reasons for line in block.lines)
    given = {name: path for name, path in provided.items() if name in text}
    faults = typist.type_page(page.replace("/", "-"), blocks()[page], given)
    assert not faults, "\n".join(faults)


# What would be wrong is found


PAGE = """
```sh
echo one > made.txt    # a comment
cat made.txt
```

<!-- not run: needs a phone -->
```sh
qnn-sd run "a red circle" --device SERIAL
```

- In a list:

  ```console
  $ printf 'took %s s\\n' 17; echo done
  took 4.5 s
  done
  $ cat made.txt
  …
  one
  ```
"""


@pytest.fixture
def own_typist(tmp_path: Path) -> Typist:
    return Typist({"PATH": os.environ["PATH"]}, {}, tmp_path)


def test_lines_are_typed_in_order_in_one_folder(own_typist: Typist, tmp_path: Path) -> None:
    first, marked, shown = blocks_of(PAGE, "page.md")
    assert [line.command for line in first.lines] == ["echo one > made.txt", "cat made.txt"]
    assert (first.place, marked.reasons, marked.faults_of_mark()) == ("page.md:2", ("needs a phone",), [])
    assert [line.output for line in shown.lines] == ["took 4.5 s\ndone", "…\none"]
    assert own_typist.type_page("page", [first, marked, shown], {}) == []
    assert (tmp_path / "page" / "made.txt").read_text() == "one\n"


def test_a_command_that_was_typed_before_leaves_its_files_again(own_typist: Typist, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qnn-sd").write_text("#!/bin/sh\ndate +%N > now.txt\n")
    (tmp_path / "bin" / "qnn-sd").chmod(0o755)
    start = f"export PATH={tmp_path / 'bin'}:$PATH"
    texts = {name: f"```sh\n{start}\n{name}\nqnn-sd run # {name}\n```\n" for name in ("true", "cd .", "export A=1")}
    for number, text in enumerate(texts.values()):
        assert own_typist.type_page(str(number), blocks_of(text, "page.md"), {}) == []
    first, second, third = ((tmp_path / str(number) / "now.txt").read_text() for number in range(3))
    assert first == second
    assert first != third, "typed with another environment"


def test_variables_and_folders_hold_for_the_lines_after(own_typist: Typist) -> None:
    first = "```sh\nexport WHO=me && mkdir a && cd a\ntest $WHO = me && test ${PWD##*/} = a\n```\n"
    text = f"{first}```sh\ntest $WHO = me\n```\n"
    assert own_typist.type_page("page", blocks_of(text, "page.md"), {}) == []


def test_a_failure_that_a_page_shows_must_come(own_typist: Typist) -> None:
    failing = "```console\n$ echo error: no; exit 3\nerror: no\n```\n"
    assert own_typist.type_page("fails", blocks_of(failing, "page.md"), {}) == []
    [fault] = own_typist.type_page("works", blocks_of(failing.replace("; exit 3", ""), "page.md"), {})
    assert "exit code 0" in fault


def test_what_a_page_leaves_running_is_ended(own_typist: Typist, tmp_path: Path) -> None:
    text = (
        "```sh\nsleep 300 & echo $! > job.txt\n(setsid sleep 300 & echo $! > other.txt)\nkill -0 $(cat job.txt)\n```\n"
    )
    assert own_typist.type_page("page", blocks_of(text, "page.md"), {}) == []
    for name in ("job.txt", "other.txt"):
        left = Path("/proc") / (tmp_path / "page" / name).read_text().strip() / "cmdline"
        assert any(not left.exists() or not left.read_bytes() for _attempt in range(200_000)), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\necho first\nfalse # why\necho never\n```\n", "page.md:1: false\nexit code 1"),
        ("```bash\nfalse | cat\n```\n", "exit code 1"),
        ("```sh\nno-such-command --please\n```\n", "exit code 127"),
        ("```sh\necho a \\\n    b && exit 3\n```\n", "exit code 3\na b"),
        ("```console\n$ echo 5 apples\n3 pears\n```\n", "these lines weren't printed: ['3 pears']"),
        ("```console\n$ printf 'b\\na\\n'\na\nb\n```\n", "these lines weren't printed: ['b']"),
    ],
)
def test_a_block_that_fails_is_caught(text: str, said: str, own_typist: Typist) -> None:
    [failed] = own_typist.type_page("page", blocks_of(text, "page.md"), {})
    assert said in failed
    assert "never" not in failed


@pytest.mark.parametrize(
    ("mark", "line", "fault"),
    [
        ("too slow", "sleep 1", "no known reason: too slow"),
        ("", "sleep 1", "no known reason: "),
        ("needs a phone", "qnn-sd doctor", "'needs a phone' holds of: qnn-sd doctor"),
        ("installs packages", "pip list", "'installs packages' holds of: pip list"),
        ("needs a phone, takes an hour", "qnn-sd cost", "'needs a phone' nor 'takes an hour' holds of: qnn-sd cost"),
        ("installs packages", "pip install .\nqnn-sd doctor", "'installs packages' holds of: qnn-sd doctor"),
        ("needs weights of Stable Diffusion", "qnn-sd compile", "holds of: qnn-sd compile"),
    ],
)
def test_a_mark_without_a_true_reason_is_refused(mark: str, line: str, fault: str) -> None:
    [block] = blocks_of(f"<!-- not run: {mark} -->\n```sh\n{line}\n```\n", "page.md")
    assert [fault in each for each in block.faults_of_mark()] == [True]


def test_a_mark_of_another_block_or_a_misspelt_one_does_not_count() -> None:
    text = "<!-- not run: needs a phone -->\n\nSome text.\n\n```sh\nadb devices\n```\n"
    assert blocks_of(text, "page.md")[0].reasons == ()
    assert blocks_of("<!-- not run needs a phone -->\n```sh\nadb devices\n```\n", "page.md")[0].reasons == ()


def test_a_command_that_does_not_exist_is_not_understood() -> None:
    assert understood(["run", "a red circle", "--model", "sd15"])
    assert not understood(["run", "a red circle", "--modle", "sd15"])
    assert not understood(["paint"])


def test_numbers_and_spaces_may_differ_and_words_may_not() -> None:
    assert lines_that_differ("unet  1,167.3   ms\n…\nend", "x\nunet   2.0 ms\ny\nend") == []
    assert lines_that_differ("unet 3 ms", "vae 3 ms") == ["unet 3 ms"]
