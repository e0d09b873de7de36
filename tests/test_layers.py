"""A test's layer is found, and a fast test that does what no fast one may is stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from conftest import Cli
from layers import FAST, LAYERS, LONG_FIRST, Costs, NotFastError, held_to, layers_reached, long_files_first

from qnn_sd import artifact, qnn_provider
from qnn_sd.compile import compile_component
from qnn_sd.pipeline import BuildPipeline


def adds() -> int:
    return 1 + len(LAYERS)


def starts_a_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def asks_a_helper() -> None:
    starts_a_process()


@contextmanager
def compiles() -> Iterator[None]:
    compile_component(Path(), 57, 75, 3, Path())
    yield


class Builds:
    """A helper whose method builds."""

    @classmethod
    def pipeline(cls) -> type[BuildPipeline]:
        """What it needs."""
        return BuildPipeline


def asks_in_a_loop() -> list[object]:
    return [Builds.pipeline() for _ in range(2)]


def compares_with_torch() -> object:
    return torch.zeros(2)


def runs_the_command(cli: type[Cli] = Cli) -> object:
    return Cli(Path(), Path())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (adds, set()),
        (starts_a_process, {"process"}),
        (asks_a_helper, {"process"}),
        (runs_the_command, {"process"}),
        (compiles, {"emulator"}),
        (asks_in_a_loop, {"demo"}),
        (compares_with_torch, {"judge"}),
    ],
)
def test_a_layer_follows_from_what_is_named(function: Callable[[], object], expected: set[str]) -> None:
    assert layers_reached(function) == expected


def test_every_test_has_its_layer_as_a_marker(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        assert sum(mark.name in LAYERS for mark in item.iter_markers()) >= 1, item.nodeid
    assert {mark.name for mark in request.node.iter_markers()} == {"contract"}


def session() -> None:
    qnn_provider.session(b"", {})


def stage() -> None:
    artifact.load_or_build(Path(), artifact.Recipe("export", "it", {}, {}, {}), lambda _folder: {})


@pytest.mark.parametrize("layer", FAST)
@pytest.mark.parametrize("forbidden", [starts_a_process, session, stage])
def test_a_fast_test_is_stopped(layer: str, forbidden: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFastError), held_to(layer):
        forbidden()
    # Also where it takes no notice.
    told = rf"in the layer {layer} and starts .* name what starts it in layers\.py"
    with pytest.raises(NotFastError, match=told), held_to(layer), suppress(NotFastError):
        forbidden()


def test_another_test_is_not_stopped() -> None:
    with held_to("process"):
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_what_a_layer_costs_is_told() -> None:
    costs = Costs()
    with costs.counted("unit", "test_a", tests=1):
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    with costs.counted("demo", "test_b", tests=1), costs.counted("unit", "test_c", tests=1):
        pass
    head, unit, demo, whole, empty, dearest, *_ = costs.table()
    assert head.split() == ["layer", "tests", "seconds", "CPU", "seconds"]
    assert [line.split()[:2] for line in (unit, demo, whole)] == [["unit", "2"], ["demo", "1"], ["all", "3"]]
    assert float(unit.split()[3]) > 0
    assert (empty, dearest.split()[-1]) == ("", "test_a")
    # Another process takes it all over.
    costs.add(json.loads(json.dumps(costs.rows())))
    assert [line.split()[1] for line in costs.table()[1:4]] == ["4", "2", "6"]


def test_workers_get_long_files_first_and_each_file_in_one_piece() -> None:
    tests = [
        ("a", "unit", "a1"),
        ("b", "contract", "b1"),
        ("b", "demo", "b2"),
        ("c", "process", "c1"),
        ("b", "unit", "b3"),
    ]
    assert long_files_first([(Path(path), layer, name) for path, layer, name in tests]) == [
        "b1",
        "b2",
        "b3",
        "c1",
        "a1",
    ]
    assert set(LONG_FIRST) == set(LAYERS)
