"""Shell blocks of the documentation: which there are, which of them say why nothing runs them, and how one is typed.

A block is typed line by line into bash, as it stands. What depends on the reader's machine is set before: SERIAL is a
virtual phone's, and a port that a block names is a free one here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

# Why a block isn't run, and what a command line must hold for the reason to be true.
REASONS = {
    "installs packages": r"\b(pip|apt-get|apt|brew|wsl(\.exe)?|docker) .*\b(install|pull|build)\b|\bmake (demo|test)\b",
    "needs the internet": r"\bgit clone\b|\bruntime fetch\b|\bdocker (run|pull)\b|\bdownload\b",
    "needs a phone": r"--device\b|--phone\b|\badb\b|\bqnn-sd (devices|bench|unstage)\b",
    "needs weights of Stable Diffusion": r"--model sd15\b|--checkpoint\b",
    "takes an hour": r"\bmake (full-size|checkpoint|drift|bench)\b|--model sd15\b",
    "needs an AI Hub account": r"\bqai-hub\b|\bQAIHUB_(API_TOKEN|CLIENT_INI)\b|--via hub\b|--hub\b",
    "needs the stand-in": r"\bQAIHUB_CLIENT_INI\b|--(via )?hub\b|\bhub:|\bqnn-sd hub (devices|jobs|resume)\b",
    "it runs until Ctrl-C": r"\bhub stand-in\b",
    "needs Windows": r"\bADB_SERVER_SOCKET\b|\badb(\.exe)?\b|\bwsl\b|\busbip",
    "needs another program": r"\bjq\b",
    "needs macOS": r"\bdocker\b|\bADB_SERVER_SOCKET\b|\badb\b",
}
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>sh|bash|shell|console)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.M | re.S
)
_MARK = re.compile(r"<!-- not run: (?P<reasons>[^>]*?) -->\s*\Z")
# A block whose lines are typed, and whose output is one machine's, but for an error.
_OF_ONE_MACHINE = re.compile(r"<!-- output of one machine -->\s*\Z")
_LIMIT_SECONDS = 300
# Lines that a build says, and its bars where there is no terminal.
_OF_A_BUILD = re.compile(r"\(stages? \d|^about [<\d].* on this machine|^\D.*\(\d+\)$")
# By this variable the processes are known that a page left behind, however they left its shell.
_TYPED_IN = "QNN_SD_TYPED_IN"


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        text: as it stands; a line that goes on after a backslash is one.
        output: what a ``console`` block shows below it.
    """

    text: str
    output: str = ""

    @property
    def error(self) -> str:
        """The line that the page shows of an error of ours; empty without one."""
        shown = re.search(r"(?m)^error: .*$", self.output)
        return shown[0] if shown else ""

    @property
    def fails(self) -> bool:
        """Whether the page shows an error of ours."""
        return bool(self.error)

    @property
    def command(self) -> str:
        """Without the comment at its end, for messages."""
        return re.sub(r"\s+#(?=\s).*$", "", self.text).strip()


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        place: page and line, for messages.
        lines: its command lines.
        reasons: why it isn't run; empty if it is.
    """

    place: str
    lines: tuple[Line, ...]
    reasons: tuple[str, ...] = ()

    def faults_of_mark(self) -> list[str]:
        """What is wrong with the reasons: unknown, or not true of a line."""
        unknown = [reason for reason in self.reasons if reason not in REASONS]
        if unknown or not self.reasons:
            return [f"{self.place}: no known reason: {reason}" for reason in unknown]
        return [
            f"{self.place}: {' nor '.join(map(repr, self.reasons))} holds of: {line.command}"
            for line in self.lines
            # A change of folder or a variable is only for the lines after it.
            if not re.match(r"(cd|export)\b", line.text)
            and not any(re.search(REASONS[reason], line.text) for reason in self.reasons)
        ]


def blocks_of(text: str, page: str) -> list[Block]:
    """All shell blocks of a page, in its order.

    Args:
        text: the page.
        page: its name, for messages.
    """
    found = []
    for match in _BLOCK.finditer(text):
        mark = _MARK.search(text[: match.start()])
        reasons = tuple(reason.strip() for reason in mark["reasons"].split(",")) if mark else ()
        raw = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
        lines = _shown(raw) if match["language"] == "console" else _typed(raw)
        if _OF_ONE_MACHINE.search(text[: match.start()]):
            lines = (Line(line.text, line.error) for line in lines)
        found.append(Block(f"{page}:{text[: match.start()].count(chr(10)) + 1}", tuple(lines), reasons))
    return found


def _typed(text: str) -> Iterator[Line]:
    for line in re.sub(r"\\\n", "\\\\\0", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield Line(line.replace("\0", "\n"))


def _shown(text: str) -> Iterator[Line]:
    """The commands after ``$ `` and what follows each."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, *rest = part.splitlines()
        while command.endswith("\\") and rest:
            command += "\n" + rest.pop(0).removeprefix("> ")
        yield Line(command, "\n".join(rest))


def lines_that_differ(shown: str, seen: str) -> list[str]:
    """Lines that a page shows and that the command didn't print, in this order.

    Numbers and paths differ from machine to machine, and so does the space between columns. ``…`` alone stands for any
    lines. What is said of stages is said only where something is built.
    """
    left = iter([_stable(line) for line in seen.splitlines()])
    wanted = [
        line for line in shown.splitlines() if line.strip() not in ("", "…", "...") and not _OF_A_BUILD.search(line)
    ]
    return [line for line in wanted if _stable(line) not in left]


def _stable(line: str) -> str:
    unplaced = re.sub(r"(?<![\w.])[~./]*/[\w./+-]+", "/", line)
    measured = re.sub(r"<?\d[\d,.:]*( (?:s|min|[kMG]B)\b)?|\b(?:cached|built)\b", "0", unplaced)
    return re.sub(r"\s+", " ", measured).strip()


@dataclass
class Typist:
    """Types lines into bash, as one person on one page after the other.

    A command of qnn-sd that was typed before isn't computed again: the files that it wrote are put in place.

    Args:
        environment: of the first line.
        replaced: what depends on the machine, and what stands there instead.
        folder: where each page gets an empty folder.
    """

    environment: Mapping[str, str]
    replaced: Mapping[str, str]
    folder: Path
    _done: dict[str, tuple[str, dict[str, Path]]] = field(default_factory=dict)

    def type_page(self, name: str, blocks: list[Block], provided: Mapping[str, Path]) -> list[str]:
        """Types the unmarked blocks of a page; returns what failed.

        Args:
            name: of the page's folder.
            blocks: of the page.
            provided: files and folders that the reader is taken to have, by name.
        """
        here = self.folder / name
        here.mkdir()
        for each, source in provided.items():
            (shutil.copytree if source.is_dir() else shutil.copy)(source, here / each)
        state = self.folder / f"{name}.state"
        state.write_text("")
        self._bash(Line("true"), here, state)
        failed = []
        try:
            for block in (each for each in blocks if not each.reasons):
                for line in block.lines:
                    if fault := self._type(line, here, state):
                        failed.append(f"{block.place}: {line.command}\n{fault}")
                        break
        finally:
            _end_processes(here)
        return failed

    def _type(self, line: Line, here: Path, state: Path) -> str:
        """Types one line; returns what is wrong, or nothing."""
        before = _files(here)
        key = f"{line.command}\0{_digest(state)}"
        # Others are cheap, or leave more behind than files: a variable, another folder, a job.
        again = line.command.startswith("qnn-sd ") and not re.search(r"&$|--detach\b", line.command)
        if again and key in self._done:
            said, written = self._done[key]
            for name, source in written.items():
                (here / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, here / name)
        else:
            code, said = self._bash(line, here, state)
            # A page may show a failure.
            if bool(code) != line.fails:
                return f"exit code {code}\n{said}"
            new = [path for path, when in _files(here).items() if before.get(path) != when]
            self._done[key] = said, {str(path.relative_to(here)): path for path in new}
        differ = lines_that_differ(line.output, said)
        return f"these lines weren't printed: {differ}\n{said}" if differ else ""

    def _bash(self, line: Line, here: Path, state: Path) -> tuple[int, str]:
        text = line.text
        for old, new in self.replaced.items():
            text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        script = (
            f"source {state}; set -o pipefail\n{text}\nstatus=$?\n"
            f"{{ declare -px; printf 'cd %q\\n' \"$PWD\"; }} > {state}\nexit $status"
        )
        out = here.parent / f"{here.name}.out"
        # A file, not a pipe: what goes on in the background would hold it.
        with out.open("w") as file:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=here,
                env={**self.environment, _TYPED_IN: str(here)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=_LIMIT_SECONDS,
                check=False,
            )
        return done.returncode, out.read_text("utf-8", "replace")


def _end_processes(here: Path) -> None:
    """Ends what a page left in the background."""
    wanted = f"{_TYPED_IN}={here}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGTERM)


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def _digest(state: Path) -> str:
    """What earlier lines exported, which a line may go by."""
    lines = takewhile(lambda line: not line.startswith("cd "), state.read_text("utf-8").splitlines())
    varying = ("declare -x OLDPWD", "declare -x PWD", "declare -x SHLVL", "declare -x _=", f"declare -x {_TYPED_IN}=")
    return "\n".join(line for line in lines if not line.startswith(varying))
