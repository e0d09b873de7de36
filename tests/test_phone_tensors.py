"""A component with several outputs and several differing inputs, through ``AdbRunner`` on the virtual phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from adb_host import AdbHost, started
from graphs import quantized, two_outputs, two_outputs_feeds, two_outputs_passes

from qnn_sd.bundle_manifest import Soc
from qnn_sd.compile import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import TargetError
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.runner import Array, Feeds, Outputs, Runner
from qnn_sd.targets import CpuRunner, EmulatorRunner, FallbackRunner
from qnn_sd.targets.adb.client import Adb
from qnn_sd.targets.adb.session.deployment import htp_options, worker_files
from qnn_sd.targets.adb.session.runner import AdbRunner
from qnn_sd.targets.adb.session.worker_session import WorkerSession
from qnn_sd.targets.adb.staging import FileSet, stage
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.protocol import ComputeUnit
from qnn_sd.worker_jars import PHONE_JAR

PROFILE = load_profile("sm8650")
GUIDANCE = 7.3
SHARED = {"sample": two_outputs_feeds(1)["sample"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[ComputeUnit, Path]:
    """The QDQ graph and its context binary."""
    folder = tmp_path_factory.mktemp("two_outputs")
    qdq, compiled = quantized(two_outputs, two_outputs_feeds(1), folder), folder / "htp"
    compiled.mkdir()
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, 3, compiled)
    return {ComputeUnit.CPU: qdq, ComputeUnit.HTP: compiled}


@pytest.fixture(scope="module")
def references(folders: dict[ComputeUnit, Path]) -> dict[ComputeUnit, Runner]:
    """This machine's emulator and CPU."""
    emulator = EmulatorRunner(
        lambda _name: folders[ComputeUnit.HTP] / CONTEXT_FILE, PROFILE.soc_model, PROFILE.htp_arch
    )
    cpu = CpuRunner(lambda _name: folders[ComputeUnit.CPU] / MODEL_FILE)
    for runner in (emulator, cpu):
        runner.load("it")
    return {ComputeUnit.HTP: emulator, ComputeUnit.CPU: cpu}


@pytest.fixture(scope="module")
def on_phone(
    adb: AdbHost, folders: dict[ComputeUnit, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[ComputeUnit], AdbRunner]]:
    """Makes runners over one worker on a phone."""
    with pytest.MonkeyPatch.context() as patch, started(adb, tmp_path_factory.mktemp("phone")) as running:
        for name in ("HOME", "ANDROID_ADB_SERVER_PORT", "ADB_LOCAL_TRANSPORT_MAX_PORT"):
            patch.setenv(name, adb.environment[name])
        phone = Adb().phone(running.address)
        files = {unit: FileSet(unit.name, {p.name: p for p in folder.iterdir()}) for unit, folder in folders.items()}
        worker = worker_files()
        stage(phone, [worker, *files.values()], Console(quiet=True))
        paths = {
            ComputeUnit.HTP: f"{files[ComputeUnit.HTP].folder}/{CONTEXT_FILE}",
            ComputeUnit.CPU: f"{files[ComputeUnit.CPU].folder}/{MODEL_FILE}",
        }
        soc = Soc(name=PROFILE.soc, dl_mode=PROFILE.dl_mode, soc_model=PROFILE.soc_model, htp_arch=PROFILE.htp_arch)
        options: dict[ComputeUnit, Mapping[str, str]] = {
            ComputeUnit.HTP: htp_options(soc, "burst"),
            ComputeUnit.CPU: {},
        }
        session = WorkerSession(phone, f"{worker.folder}/{PHONE_JAR.name}", worker.folder, "a test", cold=True)
        with session as client:

            def runner(unit: ComputeUnit) -> AdbRunner:
                made = AdbRunner(
                    client, f"phone's {unit.name}", unit, options[unit], lambda _n: paths[unit], session.log
                )
                made.load(unit.name)
                return made

            yield runner


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the slots that tensors are put into, as it happens."""
    names: list[str] = []
    put = WorkerClient.put

    def noting(self: WorkerClient, slot: str, tensor: Array) -> None:
        names.append(slot)
        put(self, slot, tensor)

    monkeypatch.setattr(WorkerClient, "put", noting)
    return names


def assert_same(found: Outputs, expected: Outputs) -> None:
    assert list(found) == list(expected) == ["noise", "residual"]
    for name, output in expected.items():
        np.testing.assert_array_equal(found[name], output, strict=True)


def combined(runner: Runner, passes: list[Feeds]) -> Outputs:
    """What numpy makes of a reference's passes."""
    first, second = (runner.run("it", {**SHARED, **each}) for each in passes)
    return {name: first[name] + np.float32(GUIDANCE) * (second[name] - first[name]) for name in first}


@pytest.mark.parametrize("unit", list(ComputeUnit))
def test_a_phone_gives_the_references_outputs(
    unit: ComputeUnit, on_phone: Callable[[ComputeUnit], AdbRunner], references: dict[ComputeUnit, Runner]
) -> None:
    runner, reference = on_phone(unit), references[unit]
    feeds, passes = two_outputs_feeds(1), two_outputs_passes(2)
    assert_same(runner.run(unit.name, feeds), reference.run("it", feeds))
    assert_same(runner.run_guided(unit.name, SHARED, passes, GUIDANCE), combined(reference, passes))
    alone = runner.run_guided(unit.name, SHARED, passes[:1], GUIDANCE)
    assert_same(alone, reference.run("it", {**SHARED, **passes[0]}))
    assert len(runner.compute[unit.name].run_seconds) == 1 + 2 + 1


def test_an_input_that_did_not_change_is_sent_once(
    on_phone: Callable[[ComputeUnit], AdbRunner], references: dict[ComputeUnit, Runner], sent: list[str]
) -> None:
    runner, reference = on_phone(ComputeUnit.HTP), references[ComputeUnit.HTP]
    passes = two_outputs_passes(4)

    def call() -> list[str]:
        """Calls it, checks what comes back, and returns what was sent for it."""
        sent.clear()
        assert_same(runner.run_guided("HTP", SHARED, passes, GUIDANCE), combined(reference, passes))
        return list(sent)

    assert call() == ["HTP/condition.0", "HTP/scale.0", "HTP/condition.1", "HTP/scale.1"]
    assert call() == []
    passes[1] = {**passes[1], "condition": two_outputs_feeds(9)["condition"]}
    assert call() == ["HTP/condition.1"]
    # The same values in another array may change later: they are sent.
    passes[0] = {**passes[0], "scale": passes[0]["scale"].copy()}
    assert call() == ["HTP/scale.0"]
    passes.reverse()
    assert len(call()) == 4
    assert call() == []


def test_the_two_units_of_a_phone_do_not_take_each_others_slots(
    on_phone: Callable[[ComputeUnit], AdbRunner], references: dict[ComputeUnit, Runner], sent: list[str]
) -> None:
    runners = {unit: on_phone(unit) for unit in ComputeUnit}
    passes = {unit: two_outputs_passes(10 + unit) for unit in ComputeUnit}
    for _round in range(2):
        for unit, runner in runners.items():
            found = runner.run_guided(unit.name, SHARED, passes[unit], GUIDANCE)
            assert_same(found, combined(references[unit], passes[unit]))
    assert len(sent) == 8


def test_passes_with_different_names_are_refused_before_anything_is_sent(
    on_phone: Callable[[ComputeUnit], AdbRunner], sent: list[str]
) -> None:
    runner = on_phone(ComputeUnit.HTP)
    first, second = two_outputs_passes(2)
    with pytest.raises(TargetError, match="don't fit together") as caught:
        runner.run_guided("HTP", SHARED, [first, {"scale": second["scale"]}], GUIDANCE)
    assert "one pass alone: condition" in caught.value.why
    with pytest.raises(TargetError, match="don't fit together"):
        runner.run_guided("HTP", {**SHARED, "scale": first["scale"]}, [first, second], GUIDANCE)
    assert sent == []


def test_a_fallback_on_a_phone_passes_everything_on(
    on_phone: Callable[[ComputeUnit], AdbRunner], references: dict[ComputeUnit, Runner]
) -> None:
    fallbacks: list[str] = []
    runner = FallbackRunner(
        on_phone(ComputeUnit.HTP), on_phone(ComputeUnit.CPU), lambda each: fallbacks.append(each.component)
    )
    # Open on the CPU under this name, so the HTP can't take it.
    runner.load("CPU")
    assert fallbacks == ["CPU"]
    passes = two_outputs_passes(2)
    assert_same(runner.run_guided("CPU", SHARED, passes, GUIDANCE), combined(references[ComputeUnit.CPU], passes))
