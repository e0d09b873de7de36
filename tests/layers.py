"""The suite's layers: which one a test is in, what the fast ones may not do, and what each layer costs.

Nothing is marked by hand. A test's layer follows from what it reaches: its fixtures, and the names that its code,
theirs and that of the helpers in this folder use. Where that misses something, a fast test that starts a process or
the emulator fails, and says what to add here.
"""

from __future__ import annotations

import dis
import functools
import inspect
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar
from unittest.mock import patch

import pytest

from qnn_sd import artifact, qnn_provider

TESTS = Path(__file__).resolve().parent

# From cheap to expensive; a test is in the last one that it reaches.
LAYERS = {
    "unit": "functions and classes, in this process",
    "contract": "what modules, settings and docs promise each other, in this process",
    "process": "a command or another child process",
    "emulator": "small graphs through the QNN compiler and on the HTP emulator",
    "demo": "the demo model: built once, then read",
    "phone": "adb, the virtual phone, the worker on a JVM",
    "judge": "torch, diffusers and transformers as the reference",
    "full_size": "gigabytes and minutes",
}
FAST = ("unit", "contract")

# Modules whose tests hold the project's parts against each other instead of a function against a number.
CONTRACTS = {
    *("test_config", "test_docs", "test_doctor", "test_documents", "test_drift", "test_help", "test_layers"),
    *("test_layout", "test_toolchain"),
}
FIXTURES = {
    "hub": "emulator",
    "reading_cli": "process",
    "pipeline": "demo",
    "own_cache": "demo",
    "refused_cache": "demo",
    "adb": "phone",
    "wheel": "process",
}
# A package or module with all in it, or one name of it.
NAMES = {
    "subprocess.Popen": "process",
    "subprocess.run": "process",
    "multiprocessing": "process",
    "conftest.Cli": "process",
    "terminal.on_terminal": "process",
    "drift.Environment": "process",
    "drift.run_step": "process",
    "releases.newest_release": "process",
    "soc_table.ask": "emulator",
    "qnn_sd.binaries.binary_info.read_binary": "process",
    "qnn_sd.binaries.found.find_binaries": "process",
    "qnn_sd.binaries.run.run_graph": "emulator",
    "qnn_sd.qnn_provider.session": "emulator",
    "qnn_sd.compile.ahead_of_time": "emulator",
    "qnn_sd.compile.cost": "emulator",
    "qnn_sd.cli.cost_measure.measure_costs": "emulator",
    "qnn_sd.compile.dlc": "emulator",
    "qnn_sd.compile.shared_weights": "emulator",
    "qnn_sd.compile.verifier": "emulator",
    "qnn_sd.hub_stand_in.stand_in.StandIn": "emulator",
    "qnn_sd.targets.emulator": "emulator",
    "qnn_sd.hub_stand_in": "emulator",
    "qnn_sd.pipeline.pipeline.BuildPipeline": "demo",
    "adbutils": "phone",
    "adb_host": "phone",
    "worker_process": "phone",
    "qnn_sd.virtual_phone": "phone",
    "torch": "judge",
    "diffusers": "judge",
    "transformers": "judge",
    "peft": "judge",
    "qnn_sd.quantize.adaround.backend.torch_backend": "judge",
}


def layer_of(item: pytest.Item) -> str:
    """The layer of a collected test."""
    if item.get_closest_marker("full_size"):
        return "full_size"
    fixtures = set(getattr(item, "fixturenames", ()))
    # The last definition of a fixture is the one that the test sees.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    functions = [getattr(item, "function", None), *(known[name][-1].func for name in fixtures & known.keys())]
    found = {FIXTURES[name] for name in fixtures & FIXTURES.keys()}.union(*map(layers_reached, functions))
    found.add("contract" if item.path.stem in CONTRACTS else "unit")
    return max(found, key=list(LAYERS).index)


@functools.cache
def layers_reached(function: object) -> frozenset[str]:
    """The layers of what a function's code names, and of what this folder's helpers among that name."""
    found: set[str] = set()
    seen: set[object] = set()
    left = [function]
    while left:
        each = inspect.unwrap(left.pop())
        if isinstance(each, type):
            left += [function for _, function in inspect.getmembers(each, inspect.isroutine)]
        each = getattr(each, "__func__", each)
        if not isinstance(each, FunctionType) or each in seen or not _is_ours(each):
            continue
        seen.add(each)
        for named in _named(each):
            found |= _layers_named(named)
            if isinstance(named, FunctionType) or (isinstance(named, type) and _is_ours(named)):
                left.append(named)
    return frozenset(found)


def _is_ours(each: object) -> bool:
    """Whether a function or class is defined in this folder."""
    module = sys.modules.get(getattr(each, "__module__", ""))
    return Path(getattr(module, "__file__", None) or "/").parent == TESTS


def _named(function: FunctionType) -> Iterator[object]:
    """The objects that a function names: globals, and attributes of the modules among them."""
    codes = list(_codes(function.__code__))
    loaded = {each.argval for code in codes for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    names = {name for code in codes for name in code.co_names}
    for name in loaded & function.__globals__.keys():
        value = function.__globals__[name]
        yield value
        if isinstance(value, ModuleType):
            yield from (vars(value)[other] for other in names & vars(value).keys())


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _layers_named(value: object) -> set[str]:
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""
    path = module if isinstance(value, ModuleType) else f"{module}.{getattr(value, '__qualname__', '')}"
    return {layer for name, layer in NAMES.items() if f"{path}.".startswith(f"{name}.")}


# Layers by what a test of theirs takes, the longest first.
LONG_FIRST = ("demo", "phone", "process", "judge", "emulator", "contract", "unit", "full_size")
_Item = TypeVar("_Item")


def long_files_first(tests: Sequence[tuple[Path, str, _Item]]) -> list[_Item]:
    """Tests in the order in which several workers take them: the last files are short, so that all end together.

    Args:
        tests: file, layer and item of each.
    """
    ranks: dict[Path, int] = {}
    for path, layer, _ in tests:
        ranks[path] = min(ranks.get(path, len(LONG_FIRST)), LONG_FIRST.index(layer))
    return [item for path, _, item in sorted(tests, key=lambda each: ranks[each[0]])]


# What a fast test must not do.

_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")
# What was done against the rule, for each test that is held to it: one, but in the tests of this file.
_offences: list[list[str]] = []


class NotFastError(AssertionError):
    """A test of a fast layer does what belongs into another one."""


def _refuse(what: str) -> None:
    _offences[-1].append(what)
    raise NotFastError(what)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    # Python's own module platform asks uname.
    if _offences and event.startswith(_STARTS) and arguments[:1] != ("uname",):
        _refuse(f"{event}: {arguments[:2]}")


sys.addaudithook(_watch)


@contextmanager
def held_to(layer: str) -> Iterator[None]:
    """Holds what runs in a fast layer to its rule: no process of its own, no emulator, no artifact of a pipeline.

    Raises:
        NotFastError: it broke it, also where the test took no notice.
    """
    if layer not in FAST:
        yield
        return
    done: list[str] = []
    _offences.append(done)
    try:
        with (
            patch.object(qnn_provider, "session", lambda *_given, **_named: _refuse("a session on the HTP emulator")),
            patch.object(artifact, "load_or_build", lambda *_given, **_named: _refuse("a stage of a pipeline")),
        ):
            yield
    finally:
        _offences.pop()
    if done:
        raise NotFastError(
            f"This test is in the layer {layer} and starts {done[0]}. Is it meant to? Then name what starts it in "
            f"{Path(__file__).name}, and the test moves to the layer where that belongs."
        )


# What each layer costs.


@dataclass
class Cost:
    """What tests took together.

    Attributes:
        tests: how many ran.
        seconds: by the clock, fixtures included.
        cpu_seconds: of this process and of children that have ended; the same whatever else the machine does.
    """

    tests: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Costs:
    """What each layer cost in this run, and each test that cost much."""

    def __init__(self) -> None:
        self.layers: defaultdict[str, Cost] = defaultdict(Cost)
        self.tests: defaultdict[str, Cost] = defaultdict(Cost)

    @contextmanager
    def counted(self, layer: str, test: str, tests: int = 0) -> Iterator[None]:
        """Adds what the block takes to a layer and a test."""
        seconds, cpu_seconds = time.monotonic(), _cpu_seconds()
        try:
            yield
        finally:
            seconds, cpu_seconds = time.monotonic() - seconds, _cpu_seconds() - cpu_seconds
            self.add([(True, layer, tests, seconds, cpu_seconds), (False, test, tests, seconds, cpu_seconds)])

    def rows(self) -> list[list[Any]]:
        """All that was counted, as another process takes it with ``add``."""
        both = ((True, self.layers), (False, self.tests))
        return [[is_layer, name, *astuple(cost)] for is_layer, costs in both for name, cost in costs.items()]

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Adds what another process counted."""
        for is_layer, name, tests, seconds, cpu_seconds in rows:
            cost = (self.layers if is_layer else self.tests)[name]
            cost.tests += tests
            cost.seconds += seconds
            cost.cpu_seconds += cpu_seconds

    def table(self, longest: int = 10) -> list[str]:
        """A line for each layer that ran, the sum, and the tests that cost most."""
        rows = [(name, self.layers[name]) for name in LAYERS if name in self.layers]
        whole = Cost(*(sum(getattr(cost, part) for _, cost in rows) for part in ("tests", "seconds", "cpu_seconds")))
        lines = [f"{'layer':<10} {'tests':>6} {'seconds':>8} {'CPU seconds':>12}"]
        lines += [_line(name, cost) + f"   {LAYERS.get(name, '')}" for name, cost in rows] + [_line("all", whole)]
        dearest = sorted(self.tests.items(), key=lambda each: each[1].cpu_seconds, reverse=True)[:longest]
        return [*lines, "", *(f"{cost.cpu_seconds:8.1f} CPU s  {test}" for test, cost in dearest)]


def _line(name: str, cost: Cost) -> str:
    return f"{name:<10} {cost.tests:>6} {cost.seconds:>8.1f} {cost.cpu_seconds:>12.1f}"


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
