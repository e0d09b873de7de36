"""What runners do with several outputs, and with several inputs that differ between guidance passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from graphs import two_outputs, two_outputs_feeds, two_outputs_passes

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.component_io import COMPONENT_IO, guidance_inputs
from qnn_sd.errors import TargetError
from qnn_sd.export.graph import Graph
from qnn_sd.generate.text_to_image import Request, TextToImage
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.recording_runner import RecordingRunner
from qnn_sd.reference import reference_session
from qnn_sd.runner import Fallback, Feeds, Outputs, Runner, check_passes, only_output
from qnn_sd.targets import CpuRunner, FallbackRunner

GUIDANCE = 7.3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float graph with two outputs."""
    folder = tmp_path_factory.mktemp("two_outputs")
    with Graph("two_outputs", folder) as g:
        two_outputs(g)
    return folder / MODEL_FILE


@pytest.fixture
def cpu(model: Path) -> CpuRunner:
    runner = CpuRunner(lambda _name: model)
    runner.load("it")
    return runner


def by_name(model: Path, feeds: Feeds) -> dict[str, np.ndarray]:
    """ONNX Runtime's own outputs."""
    names = ["noise", "residual"]
    return dict(zip(names, reference_session(model).run(names, dict(feeds)), strict=True))


def guided(model: Path, shared: Feeds, passes: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What numpy makes of ONNX Runtime's outputs."""
    first, second = (by_name(model, {**shared, **each}) for each in passes)
    return {name: first[name] + np.float32(GUIDANCE) * (second[name] - first[name]) for name in first}


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, output in expected.items():
        np.testing.assert_array_equal(found[name], output, strict=True)


def test_outputs_have_their_names_in_the_graphs_order(cpu: CpuRunner, model: Path) -> None:
    feeds = two_outputs_feeds(1)
    assert_same(cpu.run("it", feeds), by_name(model, feeds))


def test_each_output_is_combined_over_passes_that_differ_in_several_inputs(cpu: CpuRunner, model: Path) -> None:
    shared, passes = {"sample": two_outputs_feeds(1)["sample"]}, two_outputs_passes(2)
    expected = guided(model, shared, passes)
    assert {output.dtype for output in expected.values()} == {np.dtype(np.float32)}
    assert_same(cpu.run_guided("it", shared, passes, GUIDANCE), expected)
    assert_same(cpu.run_guided("it", shared, passes[:1], GUIDANCE), by_name(model, {**shared, **passes[0]}))


def test_a_fallback_passes_everything_on(cpu: CpuRunner, model: Path, tmp_path: Path) -> None:
    events: list[Fallback] = []
    runner = FallbackRunner(CpuRunner(lambda _name: tmp_path / "none.onnx"), cpu, events.append)
    runner.load("it")
    assert [event.component for event in events] == ["it"]
    feeds, passes = two_outputs_feeds(1), two_outputs_passes(2)
    assert_same(runner.run("it", feeds), by_name(model, feeds))
    shared = {"sample": feeds["sample"]}
    assert_same(runner.run_guided("it", shared, passes, GUIDANCE), guided(model, shared, passes))


def test_a_recorder_keeps_all_outputs_of_each_pass(cpu: CpuRunner, model: Path) -> None:
    recorder = RecordingRunner(cpu)
    shared, passes = {"sample": two_outputs_feeds(1)["sample"]}, two_outputs_passes(2)
    assert_same(recorder.run_guided("it", shared, passes, GUIDANCE), guided(model, shared, passes))
    for sample, each in zip(recorder.samples["it"], passes, strict=True):
        assert sample.feeds.keys() == {"sample", "condition", "scale"}
        assert_same(sample.outputs, by_name(model, {**shared, **each}))


class Answering(Runner):
    """Answers with what it was given."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs

    def load(self, component: str) -> None:
        """Nothing to load."""

    def unload(self, component: str) -> None:
        """Nothing to free."""

    def run(self, component: str, feeds: Feeds) -> Outputs:
        del component, feeds
        return self._outputs


@pytest.mark.parametrize("bad", ["first", "second"])
def test_a_recorder_refuses_any_output_that_is_not_finite(bad: str) -> None:
    outputs = {name: np.full(2, np.nan if name == bad else 1, np.float32) for name in ("first", "second")}
    refused: list[str] = []
    runner = RecordingRunner(Answering(outputs), refuses=lambda component, _feeds: refused.append(component))
    runner.run("it", {})
    assert refused == ["it"]


def test_outputs_that_cannot_be_combined_are_refused() -> None:
    runner = Answering({"noise": np.zeros(2, np.float32), "ids": np.zeros(2, np.int32)})
    assert runner.run_guided("it", {}, [{}], GUIDANCE)["ids"].dtype == np.int32
    with pytest.raises(TargetError, match="float32 outputs") as caught:
        runner.run_guided("it", {}, [{}, {}], GUIDANCE)
    assert "ids of it is int32" in caught.value.why


@pytest.mark.parametrize(
    ("shared", "passes", "reason"),
    [
        ([], [], "0 passes"),
        ([], [["x"]] * 3, "3 passes"),
        ([], [["x"], ["y"]], "one pass alone: x, y"),
        ([], [["x", "y"], ["x"]], "one pass alone: y"),
        (["x", "y"], [["y"], ["y"]], "shared and differ: y"),
    ],
)
def test_passes_that_do_not_fit_together_are_refused(shared: list[str], passes: list[list[str]], reason: str) -> None:
    with pytest.raises(TargetError, match="passes of it don't fit together") as caught:
        check_passes("it", shared, passes)
    assert reason in caught.value.why
    values = np.zeros(1, np.float32)
    with pytest.raises(TargetError, match="don't fit together"):
        Answering({}).run_guided(
            "it", dict.fromkeys(shared, values), [dict.fromkeys(each, values) for each in passes], 2
        )


def test_the_only_output_is_one_of_one() -> None:
    output = np.zeros(1, np.float32)
    assert only_output("it", {"y": output}) is output
    with pytest.raises(TargetError, match="it has 2 outputs") as caught:
        only_output("it", {"y": output, "z": output})
    assert "y, z" in caught.value.why
    with pytest.raises(TargetError, match="it has 0 outputs"):
        only_output("it", {})


class Renaming(CpuRunner):
    """Calls every output of one component otherwise, and adds a second one to the others."""

    renamed = ""

    def run(self, component: str, feeds: Feeds) -> Outputs:
        outputs = super().run(component, feeds)
        if component == self.renamed:
            return {f"{name}_2": output for name, output in outputs.items()}
        return {"more": np.zeros(1, np.float32), **outputs}


def renaming(bundle_of: BuildPipeline) -> tuple[Renaming, Bundle, Path]:
    bundle = bundle_of.cpu_bundle("float")
    return Renaming(bundle.file, optimize=True), bundle.info, bundle.tokenizer


@pytest.mark.parametrize("component", list(COMPONENT_IO))
def test_the_loop_names_the_output_that_a_component_lacks(component: str, pipeline: BuildPipeline) -> None:
    runner, info, tokenizer = renaming(pipeline)
    runner.renamed = component
    output = COMPONENT_IO[component].output
    with pytest.raises(TargetError, match=f"{component} has no output {output}") as caught:
        TextToImage(runner, info, tokenizer).generate(Request("a circle", steps=1))
    assert f"{output}_2" in caught.value.why
    assert caught.value.hint


def test_the_loop_reads_outputs_by_name_whatever_else_there_is(pipeline: BuildPipeline) -> None:
    runner, info, tokenizer = renaming(pipeline)
    plain = CpuRunner(pipeline.cpu_bundle("float").file, optimize=True)
    request = Request("a circle", steps=1)
    [found], [expected] = (TextToImage(each, info, tokenizer).generate(request).images for each in (runner, plain))
    np.testing.assert_array_equal(found, expected)


def test_the_loop_feeds_what_is_described(pipeline: BuildPipeline) -> None:
    runner, info, tokenizer = renaming(pipeline)
    seen: list[set[str]] = []

    class Noting(FallbackRunner):
        def run_guided(self, component: str, feeds: Feeds, passes: list[Feeds], guidance: float) -> Outputs:
            seen.extend(set(each) for each in passes)
            return super().run_guided(component, feeds, passes, guidance)

    TextToImage(Noting(runner, runner, print), info, tokenizer).generate(Request("a circle", steps=1))
    assert seen == [set(guidance_inputs("unet"))] * 2
    assert guidance_inputs("text_encoder") == guidance_inputs("vae_encoder") == ()
