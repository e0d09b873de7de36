"""``qnn-sd bench`` on the virtual phone: what is counted and how; its times mean nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adb_host import AdbHost, PhoneOnAdb, started, user
from cli_here import CliHere
from conftest import Cli, json_document

from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.targets.adb.bench import (
    BenchSettings,
    Call,
    ColdRun,
    Condition,
    Measured,
    Measurement,
    Refused,
    measure,
    percentiles_of,
)
from qnn_sd.targets.adb.bench.inputs import random_inputs
from qnn_sd.targets.adb.client import Adb
from qnn_sd.targets.adb.staging import StagingResult
from qnn_sd.targets.adb.worker.protocol import TensorSpec
from qnn_sd.virtual_phone import Battery

PERCENTILES = {"least": 0, "p10": 10, "median": 50, "p90": 90, "most": 100}


@pytest.fixture(scope="module")
def running(adb: AdbHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhoneOnAdb]:
    """A phone that keeps what was staged."""
    with started(adb, tmp_path_factory.mktemp("bench"), battery=Battery(level=61, temperature=31.5)) as phone:
        yield phone


@pytest.fixture
def bench(cli: Cli, adb: AdbHost, running: PhoneOnAdb, pipeline: BuildPipeline) -> Cli:
    """The user's command; the bundle is there already."""
    pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    return user(cli, adb)


def holds_its_samples(spread: dict[str, Any], count: int) -> np.ndarray:
    """Holds a document's middle and spread against numpy's of its samples, which are returned."""
    samples = np.array(spread["samples"])
    assert samples.shape == (count,)
    for name, percent in PERCENTILES.items():
        assert spread[name] == pytest.approx(np.percentile(samples, percent), abs=2e-6), name
    return samples


def holds_its_calls(calls: dict[str, Any], count: int) -> None:
    """Holds a document's calls against each other: what the host sees is computing and the way."""
    wall, computing, path = (
        holds_its_samples(calls[f"{name}_seconds"], count) for name in ("wall", "computing", "host_path")
    )
    assert np.all(computing > 0)
    assert wall == pytest.approx(computing + path, abs=3e-6)


# Statistics


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([float(number) for number in range(11, 0, -1)], (6, 2, 10, 1, 11)),
        ([3.0, 1.0], (2, 1.2, 2.8, 1, 3)),
        ([5.0], (5, 5, 5, 5, 5)),
    ],
)
def test_middle_and_spread_of_known_numbers(values: list[float], expected: tuple[float, ...]) -> None:
    spread = percentiles_of(values)
    assert (spread.median, spread.p10, spread.p90, spread.least, spread.most) == pytest.approx(expected)


def test_a_image_is_estimated_from_the_warm_medians() -> None:
    def measured(component: str, *seconds: float) -> Measured:
        calls = tuple(Call(each, (each / 2,)) for each in seconds)
        nothing = Condition(0, None, None)
        return Measured("burst", component, (ColdRun(9, 9, True, calls[0]),), calls, True, nothing, nothing)

    three = (measured("text_encoder", 1, 2, 30), measured("unet", 4, 5, 60), measured("vae_decoder", 3, 3, 90))
    assert Measurement(StagingResult(), three).image_seconds("burst", 20, 2) == 2 * 2 + 20 * 5 + 3
    assert Measurement(StagingResult(), three).image_seconds("balanced", 20, 2) is None
    missing_files = (*three[:2], Refused("burst", "vae_decoder", "why"))
    assert Measurement(StagingResult(), missing_files).image_seconds("burst", 20, 2) is None


def test_inputs_fit_their_ports_and_are_the_same_each_time() -> None:
    specs = [
        TensorSpec("input_ids", np.dtype("<i4"), (1, 5000)),
        TensorSpec("sample", np.dtype("<f4"), (1, 4, 8, 8)),
        TensorSpec("context", np.dtype("<f4"), (1, 77, 16)),
        TensorSpec("pooled", np.dtype("<f4"), (1, 16)),
    ]
    first, again = (random_inputs(specs, 49, ["context", "pooled"], 2) for _time in range(2))
    assert {name: (feed.dtype, feed.shape) for name, feed in first.feeds.items()} == {
        spec.name: (spec.dtype, spec.shape) for spec in specs[:2]
    }
    assert set(first.feeds["input_ids"].flat) == set(range(49))
    shapes = [{name: feed.shape for name, feed in each.items()} for each in first.passes]
    assert shapes == [{"context": (1, 77, 16), "pooled": (1, 16)}] * 2
    for name in ("context", "pooled"):
        assert not np.array_equal(first.passes[0][name], first.passes[1][name])
    assert all(np.array_equal(first.feeds[name], again.feeds[name]) for name in first.feeds)
    alone = random_inputs(specs, 49, passes=2)
    assert (set(alone.feeds), alone.passes) == ({spec.name for spec in specs}, ())


# On the virtual phone


def test_what_is_measured_is_counted_and_written(bench: Cli, running: PhoneOnAdb) -> None:
    document = bench.json(
        *("bench", "--device", running.address, "--component", "text_encoder", "--rounds", "4", "--cold", "2"),
        *("--perf-mode", "balanced", "-o", "bench.json"),
    )
    told = json.loads((bench.folder / "bench.json").read_text())
    assert told == {**document, "phone": {**document["phone"], "device": "SERIAL"}}
    assert [path.name for path in bench.folder.iterdir()] == ["bench.json"]
    assert (document["virtual"], document["soc"], document["dl_mode"]) == (True, "sm8650", 2)
    assert "say nothing about a phone" in document["note"]
    assert document["phone"]["device"] == running.address
    [each] = document["results"]
    assert (each["perf_mode"], each["component"], each["refused"]) == ("balanced", "text_encoder", None)
    assert each["passes_per_call"] == 1
    cold, warm = each["cold"], each["warm"]
    assert (cold["loads"], cold["calls"]) == (2, 2)
    assert (warm["loads"], warm["calls"]) == (1, 4)
    assert np.all(holds_its_samples(cold["start_seconds"], 2) > 0)
    assert np.all(holds_its_samples(cold["load_seconds"], 2) > 0)
    holds_its_calls(cold["first_call"], 2)
    holds_its_calls(warm, 4)
    assert warm["passes"] is None
    assert each["peak_memory_bytes"] > 50_000_000
    for moment in ("before", "after"):
        assert each[moment]["battery"] == {"percent": 61, "celsius": 31.5}
        assert each[moment]["warmest_zone"]["celsius"] > 0
    assert [estimate["image_seconds"] for estimate in document["estimates"]] == [None]
    assert running.workers() == []


def test_a_call_of_the_unet_is_a_step_of_two_passes(bench: Cli, running: PhoneOnAdb) -> None:
    document = bench.json(
        *("bench", "--device", running.address, "--component", "unet", "--rounds", "1", "--cold", "1")
    )
    [unet] = document["results"]
    assert unet["passes_per_call"] == 2
    holds_its_calls(unet["warm"], 1)
    holds_its_calls(unet["warm"]["passes"], 2)
    for part in ("wall_seconds", "computing_seconds", "host_path_seconds"):
        [step], passes = unet["warm"][part]["samples"], unet["warm"]["passes"][part]["samples"]
        assert sum(passes) == pytest.approx(step, abs=3e-6), part


def test_people_see_tables_and_that_the_phone_is_none(bench: Cli, running: PhoneOnAdb) -> None:
    done = bench(*("bench", "--device", running.address, "--component", "text_encoder", "--rounds", "2", "--cold", "1"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("This is a virtual phone")
    assert lines[1] == "burst, warm: 2 calls in one worker, ms; a step is 2 passes"
    [heads, row] = lines[2:4]
    assert heads.split()[:3] == ["component", "call", "median"]
    assert row.split()[:2] == ["text_encoder", "one"]
    median, p10, p90, least, most, computing, path = (float(cell.replace(",", "")) for cell in row.split()[2:])
    assert least <= p10 <= median <= p90 <= most
    assert computing + path == pytest.approx(median, abs=0.2)  # the median of two is their mean
    assert lines[4] == "burst, cold: a fresh worker each time, 1 in all; median (least to most)"
    assert lines[6].split()[0] == "text_encoder"
    assert "61 → 61" in lines[9]
    assert "31.5 → 31.5" in lines[9]
    assert "text_encoder, burst (4)" in done.stderr


def test_a_component_that_the_htp_refuses_has_its_reason_in_its_row(
    bench: Cli, running: PhoneOnAdb, refused_cache: Path
) -> None:
    options = ("bench", "--device", running.address, "--rounds", "1", "--cold", "1", "--cache", str(refused_cache))
    document = bench.json(*options, "--component", "unet", "--component", "text_encoder")
    text_encoder, unet = document["results"]
    assert (text_encoder["component"], text_encoder["refused"]) == ("text_encoder", None)
    assert text_encoder["warm"]["calls"] == 1
    assert unet.keys() == {"perf_mode", "component", "refused"}
    assert unet["refused"]
    written = ("-o", "bench.json")
    alone = bench(
        *options, "--component", "unet", "--perf-mode", "burst", "--perf-mode", "power_saver", "--debug", *written
    )
    assert alone.returncode == 20
    assert f"Nothing could be measured on {running.address}" in alone.stderr
    text = (bench.folder / "bench.json").read_text()
    assert json_document(text)["error"]["what"] == "Nothing could be measured on SERIAL"
    assert running.address not in text
    # The first refusal's.
    assert alone.stderr.count("The worker's log:\n") == 1
    for mode in ("burst", "power_saver"):
        assert f"warning: unet can't be measured on the HTP ({mode}): " in alone.stderr
    rows = [line.split() for line in alone.stdout.splitlines()]
    assert rows.count(["unet", "not", "on", "the", "HTP"]) == 2
    assert alone.stdout.count("unet: not on the HTP: ") == 2
    assert "estimate" not in alone.stdout


def test_a_component_that_the_bundle_lacks_is_named(
    host: AdbHost, running: PhoneOnAdb, pipeline: BuildPipeline
) -> None:
    bundle = pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    settings = BenchSettings(("vae_encoder",))
    with pytest.raises(SettingError, match="The bundle has no vae_encoder") as caught:
        measure(Adb().phone(running.address), bundle, settings, 2, Path("unused"), Console(quiet=True))
    assert "vae_decoder" in caught.value.hint


def test_a_dry_run_measures_nothing(bench: Cli, running: PhoneOnAdb) -> None:
    document = bench.json("bench", "--device", running.address, "--dry-run", "-o", "bench.json")
    assert {stage["stage"] for stage in document["stages"]} >= {"compile", "bundle"}
    assert all(stage["cached"] for stage in document["stages"])
    assert not list(bench.folder.iterdir())


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (3, ("--rounds", "0"), "--rounds 0 is not possible"),
        (3, ("--cold", "0"), "--cold 0 is not possible"),
        (3, ("--perf-mode", "balance"), "Did you mean balanced?"),
        (2, ("--component", "vae_encoder"), "--component vae_encoder is not possible"),
        (30, ("-o", "bench.txt"), "Measurements are saved as JSON"),
        (30, ("-o", "missing/bench.json"), "No such file or directory"),
    ],
)
def test_bad_options_are_refused_before_any_phone_is_asked(
    code: int, arguments: tuple[str, ...], message: str, cli_here: CliHere
) -> None:
    assert message in cli_here.refused(code, "bench", *arguments)
