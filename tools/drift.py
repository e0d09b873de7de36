"""Tries every set of versions again, the lower bounds, and the newest of everything, each in a throwaway environment.

    python tools/drift.py [--only NAME ...] [--python PATH ...] [--json]
    python tools/drift.py --cheap      which dependencies have newer releases; quick, and never fails

In each environment the demo is compiled for sm8650 into an empty cache, generates one image on the emulator, which
the demo's checker judges, and the short tests run. What breaks is reported and the next environment is tried. Exits
with 1 if anything broke.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from needs import DEV_LOCK, ROOT, asked_for, interpreter, lowest
from releases import cheap

from qnn_sd.toolchain import TOOLCHAIN_PACKAGES, load_toolchains

WORK = ROOT / "build" / "drift"
COMPONENTS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")
PROMPT = "a red circle on a blue background"
# Without torch, and of every kind: graphs on the emulator, formats, libraries, the command line's pieces.
SHORT_TESTS = (
    "artifact",
    "bundle",
    "config",
    "doctor",
    "htp_forms",
    "runtime_libraries",
    "toolchain",
)
# Generous: a machine under load must not look like a break.
_LIMITS = {"environment": 300, "install": 1800, "compile": 1800, "image": 900, "tests": 1800}
_LINES_OF_AN_ERROR, _LONGEST_LINE = 8, 300


class Broken(Exception):
    """A step failed; the text says how."""


@dataclass(frozen=True)
class Plan:
    """An environment to try.

    Attributes:
        name: a set's, or what else it is.
        installs: the arguments of ``pip install``, call by call; the package itself comes last.
        python: the interpreter that it is made with.
    """

    name: str
    installs: tuple[tuple[str, ...], ...]
    python: Path


@dataclass
class Outcome:
    """What an environment did.

    Attributes:
        name: the plan's.
        versions: of Python and all packages.
        sqnr_db: by component, each figure of ``compile --json``.
        image: whether the image shows the prompt; None if there is none.
        tests: the tests' last line.
        seconds: by step.
        broken: what broke, by step.
    """

    name: str
    versions: dict[str, str] = field(default_factory=dict)
    sqnr_db: dict[str, list[float]] = field(default_factory=dict)
    image: bool | None = None
    tests: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def plans(pythons: Sequence[Path]) -> list[Plan]:
    """Every set of the file, the lower bounds and the newest of everything, with each Python."""
    asked = asked_for("phone")
    names = [each.name for each in asked]
    # Wheels alone: what fails to build from source would be told in pages, and says nothing of the version.
    wheels = ("--only-binary", ":all:")
    package = ("--no-deps", "--no-build-isolation", str(ROOT))
    found = []
    for python in pythons:
        for each in load_toolchains().sets:
            pair = [f"{name}=={number}" for name, number in each.packages.items()]
            locked = (*wheels, "--constraint", str(DEV_LOCK), *names, "pytest")
            found.append(Plan(each.name, (locked, ("--no-deps", *pair), package), python))
        found.append(Plan("lower bounds", ((*wheels, *map(lowest, asked), "pytest"), package), python))
        found.append(Plan("newest", ((*wheels, "--upgrade", *names, "pytest"), package), python))
    return found


def run_step(command: Sequence[str | Path], limit: float, folder: Path, cache: Path | None = None) -> str:
    """What a command prints on its standard output.

    Args:
        command: the command line.
        limit: seconds until it and all its children are killed.
        folder: where it runs.
        cache: qnn-sd's.

    Raises:
        Broken: it isn't there, fails, dies or takes too long.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"QNN_SD_CACHE": str(cache)} if cache else {}
    try:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise Broken(f"{command[0]}: {error.strerror}") from error
    with process:
        try:
            out, complaint = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Broken(f"took more than {limit:g} s") from error
            raise
    if process.returncode != 0:
        raise Broken(_told(process.returncode, complaint.strip() or out.strip()))
    return out


def _told(code: int, text: str) -> str:
    """A failure in few lines: how it ended, and the last that it said."""
    ended = f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lines = [line[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
    return "\n".join([ended, *lines[-_LINES_OF_AN_ERROR:]])


def sqnr_of(compiled: dict[str, Any]) -> dict[str, list[float]]:
    """The worst input's SQNR in dB by ``qnn-sd compile --json``: binary against QDQ, QDQ against float; by component.

    Raises:
        Broken: a component has none, or one that is no number.
    """
    found = {}
    for name, told in compiled["components"].items():
        verified = told.get("verification") or {}
        gates = [verified.get("binary_against_qdq"), verified.get("qdq_against_float")]
        found[name] = [float(gate["worst_db"]) for gate in gates if gate]
        if len(found[name]) != len(gates) or any(map(math.isnan, found[name])):
            raise Broken(f"compile --json tells no SQNR of {name}")
    return found


def shows_the_prompt(image: Path) -> bool:
    """What the demo's checker says of an image."""
    sys.path.insert(0, str(ROOT / "assets"))
    import numpy as np  # noqa: PLC0415 (the quick comparison does without)
    from PIL import Image  # noqa: PLC0415
    from tiny_sd_trainer import checker, scenes  # noqa: PLC0415

    scene = scenes.Scene("blue", (scenes.Thing("circle", "red", "medium", 0.5, 0.5, 0.25),))
    with Image.open(image) as opened:
        return checker.shows(np.asarray(opened.convert("RGB")), scene)


class Environment:
    """A throwaway environment and what is tried in it.

    Args:
        plan: which.
        folder: gets it; what was there is deleted.
        tests: names of the test files to run.
    """

    def __init__(self, plan: Plan, folder: Path, tests: Sequence[str] = SHORT_TESTS) -> None:
        self._plan, self._folder, self._tests = plan, folder, tests
        self._bin = folder / "environment" / "bin"
        self.outcome = Outcome(plan.name)

    def try_all(self) -> Outcome:
        """Makes it, tries everything and deletes it; nothing that breaks is raised."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        if self._step("environment", self._make) and self._step("install", self._install):
            if self._step("compile", self._compile):
                self._step("image", self._generate)
            self._step("tests", self._test)
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.outcome

    def _step(self, name: str, work: Callable[[float], None]) -> bool:
        start = time.monotonic()
        try:
            work(_LIMITS[name])
        except Broken as error:
            self.outcome.broken[name] = str(error)
        except Exception as error:  # the report must come, whatever a version does
            self.outcome.broken[name] = f"{type(error).__name__}: {error}"
        self.outcome.seconds[name] = round(time.monotonic() - start, 1)
        return name not in self.outcome.broken

    def _make(self, limit: float) -> None:
        run_step([self._plan.python, "-m", "venv", self._bin.parent], limit, self._folder)

    def _install(self, limit: float) -> None:
        pip: list[str | Path] = [self._bin / "python", "-m", "pip", "--disable-pip-version-check"]
        for arguments in self._plan.installs:
            run_step([*pip, "install", "--quiet", *arguments], limit, self._folder)
        listed = json.loads(run_step([*pip, "list", "--format", "json"], limit, self._folder))
        told = run_step([self._bin / "python", "--version"], limit, self._folder).split()[-1]
        self.outcome.versions = {"python": told} | {each["name"].lower(): each["version"] for each in listed}

    def _qnn_sd(self, limit: float, *arguments: str) -> dict[str, Any]:
        command: list[str | Path] = [self._bin / "qnn-sd", *arguments, "--quiet", "--json"]
        document: dict[str, Any] = json.loads(run_step(command, limit, self._folder, self._folder / "cache"))
        return document

    def _compile(self, limit: float) -> None:
        self.outcome.sqnr_db = sqnr_of(self._qnn_sd(limit, "compile", "--soc", "sm8650"))

    def _generate(self, limit: float) -> None:
        self._qnn_sd(limit, "run", PROMPT, "--seed", "1", "-o", "image.png")
        self.outcome.image = shows_the_prompt(self._folder / "image.png")
        if not self.outcome.image:
            kept = self._folder.with_suffix(".png")
            shutil.copyfile(self._folder / "image.png", kept)
            raise Broken(f"it doesn't show {PROMPT!r}: {kept}")

    def _test(self, limit: float) -> None:
        files = [str(ROOT / "tests" / f"test_{name}.py") for name in self._tests]
        # pytest's own command: the checkout isn't put before the installed package.
        command: list[str | Path] = [self._bin / "pytest", "-q", "-p", "no:cacheprovider", *files]
        self.outcome.tests = last_line(run_step(command, limit, ROOT, self._folder / "cache"))


def last_line(told: str) -> str:
    """pytest's summary, without its time."""
    lines = told.strip().splitlines() or [""]
    return re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ")


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The table, its heads first."""
    found = [["set", "python", *TOOLCHAIN_PACKAGES, *(f"{name}, dB" for name in COMPONENTS), "image", "tests", "s"]]
    for each in outcomes:
        versions = [each.versions.get(name, "-") for name in ("python", *TOOLCHAIN_PACKAGES)]
        figures = [" / ".join(f"{value:.1f}" for value in each.sqnr_db.get(name, [])) or "-" for name in COMPONENTS]
        image = {True: "right", False: "wrong", None: "-"}[each.image]
        tests = "broken" if "tests" in each.broken else each.tests or "-"
        found.append([each.name, *versions, *figures, image, tests, f"{sum(each.seconds.values()):.0f}"])
    return found


def report(outcomes: Sequence[Outcome]) -> str:
    """The table, and what broke."""
    table = rows(outcomes)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    broken = [(each.name, step, text) for each in outcomes for step, text in each.broken.items()]
    lines += ["", "Nothing broke." if not broken else "What broke:"]
    for name, step, text in broken:
        first, *more = text.splitlines()
        lines += [f"  {name}, {step}: {first}", *(f"    {line}" for line in more)]
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="a set, 'lower bounds' or 'newest'")
    parser.add_argument("--python", action="append", type=Path, metavar="PATH", help="interpreter [this one]")
    parser.add_argument("--json", action="store_true", help="one document on standard output, nothing else")
    parser.add_argument("--cheap", action="store_true", help="only tell which dependencies have newer releases")
    options = parser.parse_args()
    if options.cheap:
        if told := cheap():
            print(told)
        return 0
    chosen = plans(options.python or [interpreter()])
    unknown = set(options.only or []) - {plan.name for plan in chosen}
    if unknown:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    outcomes = []
    for plan in chosen:
        if not options.only or plan.name in options.only:
            print(f"trying {plan.name} with {plan.python} ...", file=sys.stderr)
            outcomes.append(Environment(plan, WORK / plan.name.replace(" ", "-")).try_all())
            print(report(outcomes[-1:]), file=sys.stderr)
    broken = any(each.broken for each in outcomes)
    if options.json:
        print(json.dumps({"broken": broken, "environments": [asdict(each) for each in outcomes]}, indent=2))
    else:
        print(report(outcomes))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
