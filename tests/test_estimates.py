"""Estimates: what a stage takes before anything is known of this machine but its speed."""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from qnn_sd import host_memory
from qnn_sd.artifact_manifest import Work
from qnn_sd.cli import forecast
from qnn_sd.cli.forecast import Forecast, StageForecast, make_forecast
from qnn_sd.estimates import Estimate, Machine, estimate, machine, makespan
from qnn_sd.estimates.figures import load_figures
from qnn_sd.host_memory import available_memory
from qnn_sd.in_words import clock, duration, gigabytes
from qnn_sd.model_checks import ModelNeeds, check_disk, check_memory, check_time
from qnn_sd.pipeline import expected_build
from qnn_sd.pipeline.artifact_store import PlannedStage
from qnn_sd.pipeline.expected_build import ExpectedBuild, ExpectedStage

ONE, TWO = Machine(1, 1.0, 1.0), Machine(2, 1.0, 2.0)
FIGURES = load_figures().models
SD15 = FIGURES["sd15"].parameters
KINDS = [(model, kind) for model, figures in FIGURES.items() for kind in figures.stages]


def work_of(model: str, kind: str, pixels: float = 1.0) -> tuple[str, Work]:
    """The stage of a kind and what it does to a UNet: ten calls of everything."""
    stage, _, variant = kind.partition(".")
    figures = FIGURES[model]
    calls = dict.fromkeys(("ranges", "rounding", "held_out", "inputs", "unet"), 10)
    component = None if stage in ("calibrate", "bundle", "generate") else "unet"
    return stage, Work(
        variant=variant,
        component=component,
        pixels=round(figures.pixels * pixels),
        parameters={"unet": figures.parameters["unet"]},
        calls=calls,
    )


@pytest.mark.parametrize(("model", "kind"), KINDS)
def test_more_cores_take_no_longer_and_a_larger_image_no_less(model: str, kind: str) -> None:
    stage, work = work_of(model, kind)
    one, two = estimate(stage, work, ONE), estimate(stage, work, TWO)
    assert one.seconds > 0
    assert one.seconds / 2 <= two.seconds <= one.seconds
    assert (one.memory, one.disk) == (two.memory, two.disk)
    larger = estimate(stage, work_of(model, kind, pixels=1.5)[1], ONE)
    assert one.seconds <= larger.seconds <= 2 * one.seconds
    if FIGURES[model].stages[kind].by_pixels:
        assert larger.seconds > 1.1 * one.seconds
    assert one.memory <= larger.memory <= 1.5 * one.memory
    slower = estimate(stage, work, Machine(1, 0.5, 0.5))
    assert slower.seconds == pytest.approx(max(2 * one.seconds, 0.01), rel=0.3)


@pytest.mark.parametrize("kind", [kind for model, kind in KINDS if model == "sd15" and "bundle" not in kind])
def test_what_computes_grows_with_calls_and_parameters(kind: str) -> None:
    stage, work = work_of("sd15", kind)
    once = estimate(stage, work, ONE).seconds
    larger = work.model_copy(update={"parameters": {"unet": round(SD15["unet"] * 1.2)}})
    assert estimate(stage, larger, ONE).seconds == pytest.approx(1.2 * once, rel=0.01)
    more = work.model_copy(update={"calls": {name: 2 * count for name, count in work.calls.items()}})
    counted = FIGURES["sd15"].stages[kind].per_call
    assert (estimate(stage, more, ONE).seconds > once) == bool(counted)


def test_both_models_have_figures_for_all_kinds_and_components() -> None:
    kinds = {model: {kind for name, kind in KINDS if name == model} for model in FIGURES}
    assert kinds["sd15"] == kinds["tiny-sd"]
    for figures in FIGURES.values():
        for kind, stage in figures.stages.items():
            assert set(stage.seconds) == set(figures.parameters), kind
            assert set(stage.memory) == set(figures.parameters), kind


def test_cores_that_help_nothing_help_nothing() -> None:
    """The emulator computes in one thread; the UNet's calls on the CPU don't."""
    stage, work = work_of("sd15", "verify.binary")
    assert estimate(stage, work, ONE).seconds == estimate(stage, work, TWO).seconds
    stage, work = work_of("sd15", "calibrate")
    assert estimate(stage, work, TWO).seconds < 0.6 * estimate(stage, work, ONE).seconds


def test_pieces_side_by_side() -> None:
    assert makespan([3, 1, 2], 1) == 6
    assert makespan([3, 1, 2], 2) == 3
    assert makespan([3, 1, 2], 8) == 3
    assert makespan([], 2) == 0


def test_this_machine_is_measured_on_the_cores_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """In under a second; another core is never less. How much more it is, other programs decide."""
    threads: list[int] = []
    measured = machine._gflops
    monkeypatch.setattr(machine, "_gflops", lambda count: (threads.append(count), measured(count))[1])
    monkeypatch.setattr(machine, "usable_cores", lambda: [3])
    one = machine.measure_machine.__wrapped__()
    assert (one.cores, threads) == (1, [1])
    assert 0 < one.one_core == one.all_cores
    monkeypatch.setattr(machine, "usable_cores", lambda: [0, 1])
    two = machine.measure_machine.__wrapped__()
    assert (two.cores, threads) == (2, [1, 1, 2])
    assert two.all_cores >= two.one_core > 0


def planned(stage: str, kind: str, component: str, *, cached: bool = False, last: float | None = None) -> PlannedStage:
    work = work_of("sd15", kind)[1].model_copy(
        update={"component": component, "parameters": {component: SD15[component]}}
    )
    return PlannedStage(stage, component, f"sd15.{component}.{kind}", cached, work, last)


def test_a_forecast_adds_up() -> None:
    """Stages one after the other, binaries side by side on their cores, images at the end; memory is the most."""
    stages = [
        planned("compile", "compile", "unet", last=100.0),
        planned("compile", "compile", "vae_decoder", cached=True),
        planned("verify", "verify.binary", "unet", last=30.0),
        planned("verify", "verify.binary", "vae_decoder", last=20.0),
        planned("verify", "verify.binary", "text_encoder", last=15.0),
    ]
    image = work_of("sd15", "generate.emulator")[1]
    found = make_forecast(stages, [("generate", image)], TWO)
    assert [each.estimate is None for each in found.stages] == [False, True, False, False, False]
    on_one, on_two = replace(found, cores=1), replace(found, cores=2)
    assert on_one.build_seconds == 100 + 65
    assert on_two.build_seconds == 100 + 35
    assert on_two.seconds == on_two.build_seconds + estimate("generate", image, TWO).seconds
    memory = {each.planned.name: each.estimate.memory for each in found.stages if each.estimate}
    beside = memory["sd15.unet.verify.binary"] + memory["sd15.vae_decoder.verify.binary"]
    assert on_two.memory == pytest.approx(max(memory["sd15.unet.compile"], beside) + 0.1e9)
    assert on_one.memory <= on_two.memory


def test_a_measured_time_stands_for_the_estimate_and_nothing_for_zero() -> None:
    known = make_forecast([planned("compile", "compile", "unet", last=7.0)], [], TWO)
    assert known.seconds == 7
    unknown = make_forecast([planned("compile", "compile", "unet")], [], TWO)
    assert unknown.seconds > 60
    assert "about" in forecast.in_one_line(unknown)
    assert " 0 " not in forecast.in_one_line(unknown)


def test_shortages_are_told_with_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needs = Forecast((StageForecast(planned("compile", "compile", "unet"), Estimate(1, 8e9, 3e9, 2e9)),), (), 2)
    monkeypatch.setattr(forecast, "free_disk", lambda _folder: 4_000_000_000)
    monkeypatch.setattr(forecast, "available_memory", lambda: (4_000_000_000, "of its container"))
    memory, disk = forecast.shortages(needs, tmp_path)
    assert "8.1 GB of memory are needed, 4.0 GB are free (of its container)" in memory
    assert f"5.0 GB of disk are needed, 4.0 GB are free for {tmp_path}" in disk
    monkeypatch.setattr(forecast, "free_disk", lambda _folder: 6_000_000_000)
    monkeypatch.setattr(forecast, "available_memory", lambda: None)
    assert forecast.shortages(needs, tmp_path) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "<1 s"),
        (1, "1 s"),
        (89, "89 s"),
        (91, "2 min"),
        (6000, "100 min"),
        (6600 + 1200, "2 h 10 min"),
        (90000, "25 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_clocks() -> None:
    assert [gigabytes(each) for each in (1e3, 24e6, 1.25e9, 14e9)] == ["<1 MB", "24 MB", "1.2 GB", "14 GB"]
    assert clock(3723.9) == "1:02:03"


# How far a build is.

STAGES = [ExpectedStage("export", "m.unet", 0.0), ExpectedStage("quantize", "m.unet", 40.0)]
STAGES += [ExpectedStage("verify", f"m.{name}.sm8650", 10.0) for name in ("unet", "vae")]


def test_stages_are_counted_as_the_plan_lists_them() -> None:
    build = ExpectedBuild(STAGES)
    assert build.place([("quantize", "m.unet")]) == "stage 2 of 4"
    assert build.place([("verify", "m.vae.sm8650"), ("verify", "m.unet.sm8650")]) == "stages 3 to 4 of 4"
    assert build.place([("export", "m.unet"), ("verify", "m.unet.sm8650")]) == "stages 1 and 3 of 4"
    assert build.place([("bundle", "m.other")]) == ""
    assert ExpectedBuild().place([("quantize", "m.unet")]) == ""


def test_what_is_left_shrinks_and_follows_the_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = ExpectedBuild(STAGES, afterwards=5.0, seconds=50.0)
    # Two stages of 10 s side by side: 50 s of the 60 s that they are one after the other.
    assert build.left() == pytest.approx(50 + 5)
    both = [("verify", f"m.{name}.sm8650") for name in ("unet", "vae")]
    monkeypatch.setattr(expected_build, "usable_cores", lambda: [0])
    assert build.expected(both) == 20
    monkeypatch.setattr(expected_build, "usable_cores", lambda: [0, 1])
    assert build.expected(both) == 10
    running = [("quantize", "m.unet")]
    assert build.left(running, time.monotonic()) == pytest.approx(20 * 50 / 60 + 5 + 40, abs=0.5)
    assert build.left(running, time.monotonic() - 30) == pytest.approx(20 * 50 / 60 + 5 + 10, abs=0.5)
    # What should be over long ago goes on for a tenth of its time; the rest may take four times as long, and no more.
    assert build.left(running, time.monotonic() - 300) == pytest.approx(4 * (20 * 50 / 60 + 5) + 30, abs=0.5)
    assert build.share(running, time.monotonic()) < 0.05
    (tmp_path / "weights.bin").write_bytes(bytes(2_000_000))
    build.done(running, 80.0, [tmp_path])
    # It took twice as long as expected: so will the rest.
    assert build.left() == pytest.approx(2 * (20 * 50 / 60 + 5), abs=0.1)
    assert "disk 2 MB" in build.usage()


def test_what_is_left_grows_with_a_stage_that_overruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(expected_build.time, "monotonic", lambda: clock[0])
    stages = [ExpectedStage("export", "m.unet", 30.0), ExpectedStage("quantize", "m.unet", 20.0)]
    build = ExpectedBuild([*stages, ExpectedStage("compile", "m.unet", 100.0)])
    build.done([("export", "m.unet")], 30.0, [])
    running, started = [("quantize", "m.unet")], clock[0]
    left = []
    for clock[0] in range(1000, 1100, 5):
        left.append(build.left(running, started))
    # On time it shrinks second by second; then it grows each time, by the pace of both stages.
    assert left[:4] == pytest.approx([120, 115, 110, 105])
    assert left[4] == pytest.approx(100 + 2)
    assert all(later > earlier for earlier, later in pairwise(left[4:]))
    assert left[-1] == pytest.approx(100 * (30 + 95) / (30 + 20) + 9.5)
    # What was slow before isn't taken for faster by a stage that has only begun.
    slow = ExpectedBuild([*stages, ExpectedStage("compile", "m.unet", 100.0)])
    slow.done([("export", "m.unet")], 60.0, [])
    assert slow.left(running, clock[0]) == pytest.approx(2 * (100 + 20))


# Memory.


def linux(folder: Path, available: int, **files: str) -> tuple[Path, Path]:
    """A machine's ``/proc`` and control groups."""
    proc, cgroup = folder / "proc", folder / "cgroup"
    for path, text in {
        "proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable:   {available // 1024} kB\n",
        "proc/self/cgroup": "0::/box/inner\n",
        "proc/self/status": "VmSize: 1024 kB\n",
        **files,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "ascii")
    return proc, cgroup


GIGABYTE = 1 << 30


def test_memory_is_the_machines_where_nothing_limits_it(tmp_path: Path) -> None:
    assert available_memory(*linux(tmp_path, 8 * GIGABYTE)) == (8 * GIGABYTE, "of this machine")
    unlimited = {"cgroup/box/memory.max": "max\n", "cgroup/box/memory.current": "5\n"}
    assert available_memory(*linux(tmp_path, 8 * GIGABYTE, **unlimited)) == (8 * GIGABYTE, "of this machine")


@pytest.mark.parametrize("place", ["", "box/", "box/inner/"])
def test_a_containers_limit_counts_also_one_further_up(place: str, tmp_path: Path) -> None:
    limited = {
        f"cgroup/{place}memory.max": str(4 * GIGABYTE),
        f"cgroup/{place}memory.current": str(3 * GIGABYTE),
        # Of it, files that the kernel drops.
        f"cgroup/{place}memory.stat": f"anon 5\ninactive_file {2 * GIGABYTE}\n",
    }
    assert available_memory(*linux(tmp_path, 8 * GIGABYTE, **limited)) == (3 * GIGABYTE, "of its container")


def test_a_control_group_of_the_first_version_counts(tmp_path: Path) -> None:
    limited = {
        "proc/self/cgroup": "7:cpu,cpuacct:/\n5:memory:/box\n",
        "cgroup/memory/box/memory.limit_in_bytes": str(2 * GIGABYTE),
        "cgroup/memory/box/memory.usage_in_bytes": str(GIGABYTE),
        "cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "cgroup/memory/memory.usage_in_bytes": "0",
    }
    assert available_memory(*linux(tmp_path, 8 * GIGABYTE, **limited)) == (GIGABYTE, "of its container")


def test_a_limit_of_the_shell_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (GIGABYTE, GIGABYTE))
    assert available_memory(*linux(tmp_path, 8 * GIGABYTE)) == (GIGABYTE - (1 << 20), "by ulimit -v")


def test_what_is_held_is_seen_while_it_is_held() -> None:
    peak = host_memory.PeakMemory()
    before = host_memory.held_memory()
    with peak.watched():
        held = b"x" * 200_000_000
        ends = time.monotonic() + 30
        while peak.bytes < before + 150_000_000 and time.monotonic() < ends:
            time.sleep(0.05)
    assert peak.bytes >= before + 150_000_000
    assert len(held) == 200_000_000
    assert not [each for each in threading.enumerate() if "look" in each.name]
    assert os.getpid() in host_memory._with_children(os.getpid())


# The doctor's rows.

NEEDS = ModelNeeds(6000, 100, 8e9, 6e9, 12e9, 9e9, 2)


def test_disk_memory_and_time_suffice_or_not() -> None:
    place = Path("/cache")
    assert check_disk(NEEDS, 20 * 10**9, place).status == "ok"
    short = check_disk(NEEDS, 10 * 10**9, place)
    assert (short.status, short.found) == ("warning", "12 GB needed, 10 GB free for /cache")
    assert "Free 2.0 GB" in short.advice
    assert check_disk(NEEDS, 8 * 10**9, place).status == "failed"
    assert check_memory(NEEDS, (9 * 10**9, "of this machine")).status == "ok"
    little = check_memory(NEEDS, (7 * 10**9, "of its container"))
    assert (little.status, little.found) == ("warning", "8.0 GB needed, 7.0 GB free (of its container)")
    assert "An image with --target cpu needs 6.0 GB." in little.advice
    assert check_memory(NEEDS, (3 * 10**9, "by ulimit -v")).status == "failed"
    assert "--target cpu" not in check_memory(NEEDS, (3 * 10**9, "by ulimit -v")).advice
    assert check_time(NEEDS).found == "about 100 min to compile (2 cores), 2 min to an image on the CPU"
    assert check_time(replace(NEEDS, seconds=40 * 3600)).status == "warning"
    assert check_time(replace(NEEDS, seconds=0)).found == "everything is in the cache"
