"""Calibration data: the plan, what is recorded of real trajectories, and recordings that are cut short."""

from __future__ import annotations

import itertools
import json
import operator
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cli_here import CliHere
from conftest import ROOT
from graphs import small_graph

from qnn_sd.artifact import sha256_of_file
from qnn_sd.config import GuidanceSetting, ModelConfig, load_model, load_profile, models
from qnn_sd.console import Console
from qnn_sd.errors import OutputError, QuantizeError
from qnn_sd.export.checkpoint import Sources
from qnn_sd.export.graph import Graph
from qnn_sd.generate import Request, TextToImage
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.quantize.calibration import (
    CalibrationRecorder,
    PromptSet,
    Samples,
    Trajectory,
    plan_trajectories,
    plan_verification,
    read_prompts,
    record,
    unit_name,
)
from qnn_sd.quantize.calibration.store import write_unit
from qnn_sd.recording_runner import RecordingRunner
from qnn_sd.runner import Feeds, Runner
from qnn_sd.targets import CpuRunner

PROMPTS = [f"prompt {number}" for number in range(40)]
TEXTS = PromptSet(PROMPTS, [f"not this {number}" for number in range(7)])
ATTRIBUTE_INPUTS = (GuidanceSetting(guidance=4.0, negative=False), GuidanceSetting(guidance=4.0, negative=True))
QUIET = Console(quiet=True)


def small_model() -> ModelConfig:
    """The demo with three prompts of a few steps, the last one generated to the end."""
    model = load_model("tiny-sd")
    few = {"steps": 6, "kept_steps": 2, "trajectories": 3, "images": 1}
    return model.model_copy(update={"calibration": model.calibration.model_copy(update=few)})


def plan_of(model: ModelConfig) -> tuple[Trajectory, ...]:
    """The trajectories that a model is calibrated along."""
    config = model.calibration
    texts = PromptSet(*(read_prompts(ROOT / "assets" / name) for name in (config.prompts, config.negatives)))
    return plan_trajectories(
        texts,
        model.calibrated,
        config.trajectories,
        config.steps,
        config.kept_steps,
        config.images,
        config.seed,
    )


def passes(trajectory: Trajectory) -> int:
    """Of the UNet in each of its steps: no guidance is a single one."""
    return 2 if trajectory.guidance > 1 else 1


@pytest.mark.parametrize(
    ("count", "steps", "kept", "images"),
    [(15, 20, 4, 6), (15, 20, 4, 10), (5, 20, 4, 2), (7, 20, 3, 1), (32, 25, 5, 32), (1, 4, 4, 1), (9, 4, 4, 2)],
)
def test_every_step_is_kept_equally_often(count: int, steps: int, kept: int, images: int) -> None:
    plan = plan_trajectories(TEXTS, ATTRIBUTE_INPUTS, count, steps, kept, images, seed=3)
    counts = Counter(step for each in plan for step in each.kept)
    assert set(counts) <= set(range(steps))
    assert max(counts.values()) - min(counts[step] for step in range(steps)) <= 1
    assert all(len(set(each.kept)) == kept for each in plan)
    assert [each.seed for each in plan] == list(range(3, 3 + count))
    assert len({each.prompt for each in plan}) == count
    assert [each.image for each in plan] == [False] * (count - images) + [True] * images
    assert plan == plan_trajectories(TEXTS, ATTRIBUTE_INPUTS, count, steps, kept, images, seed=3)
    other = plan_trajectories(TEXTS, ATTRIBUTE_INPUTS, count, 20, 4, 1, seed=4)
    assert [each.prompt for each in plan] != [each.prompt for each in other]


def test_a_prompt_ends_with_its_last_kept_step() -> None:
    plan = plan_trajectories(TEXTS, ATTRIBUTE_INPUTS, 10, 20, 4, 3, seed=0)
    assert [each.length(20) for each in plan] == [4, 4, 8, 8, 12, 12, 16, 20, 20, 20]


def test_few_prompts_come_again_with_other_noise() -> None:
    plan = plan_trajectories(PromptSet(["a", "b", "c"], ["d", "e"]), ATTRIBUTE_INPUTS[1:], 7, 20, 4, 1, seed=0)
    assert sorted(Counter(each.prompt for each in plan).values()) == [2, 2, 3]
    assert sorted(Counter(each.negative for each in plan).values()) == [3, 4]
    assert len({each.seed for each in plan}) == 7


@pytest.mark.parametrize("name", models())
def test_every_setting_is_met_early_and_late(name: str) -> None:
    """In turns, the model's default guidance before each of the others; it alone meets every step."""
    model = load_model(name)
    config = model.calibration
    plan = plan_of(model)
    assert len(plan) == config.trajectories
    for number, each in enumerate(plan):
        assert each.setting == model.calibrated[number % len(model.calibrated)]
        assert bool(each.negative) == each.setting.negative
        assert each.negative in ("", *read_prompts(ROOT / "assets" / config.negatives))
    for setting in model.settings:
        steps = {step for each in plan if each.setting == setting for step in each.kept}
        assert min(steps) < config.steps // 2 <= max(steps), setting
    own = {step for each in plan if each.setting in model.default_settings for step in each.kept}
    assert own == set(range(config.steps))
    assert 2 * sum(each.setting in model.default_settings for each in plan) > len(plan)


def test_settings_take_turns_whatever_the_count() -> None:
    settings = [GuidanceSetting(guidance=scale, negative=False) for scale in (1.0, 2.0, 3.0)]
    plan = plan_trajectories(TEXTS, settings, 8, 20, 4, 1, seed=0)
    assert [each.guidance for each in plan] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert {each.negative for each in plan} == {""}


def test_verification_follows_each_setting_over_the_same_steps() -> None:
    settings = [
        GuidanceSetting(guidance=scale, negative=negative) for scale, negative in ((4, True), (4, False), (1, False))
    ]
    plan = plan_verification(TEXTS, settings, (0, 9, 19), images=2, seed=5)
    assert [each.setting for each in plan] == settings
    assert {each.kept for each in plan} == {(0, 9, 19)}
    assert [each.seed for each in plan] == [5, 6, 7]
    assert [each.image for each in plan] == [True, True, False]
    assert len({each.prompt for each in plan}) == 3
    assert [each.negative in TEXTS.negatives for each in plan] == [True, False, False]
    assert plan == plan_verification(TEXTS, settings, (0, 9, 19), images=2, seed=5)
    other = plan_verification(TEXTS, settings, (0, 9, 19), images=2, seed=6)
    assert [each.prompt for each in plan] != [each.prompt for each in other]


def test_what_is_recorded_is_what_a_whole_generation_is_fed(pipeline: BuildPipeline) -> None:
    """Every step as planned, each pass; to end a prompt early changes nothing of what was before."""
    config, plan, made = pipeline.model.calibration, plan_of(pipeline.model), pipeline.calibration()
    planned = Counter(step for each in plan for step in each.kept for _ in range(passes(each)))
    counts = Counter(float(feeds["timestep"][0]) for feeds in pipeline.samples(made, "unet"))
    # The first step has the largest time.
    assert [counts[time] for time in sorted(counts, reverse=True)] == [planned[step] for step in range(config.steps)]
    bundle = pipeline.cpu_bundle("float")
    for setting in pipeline.model.settings:
        number, first = next((number, each) for number, each in enumerate(plan) if each.setting == setting)
        assert first.length(config.steps) < config.steps
        recorder = RecordingRunner(CpuRunner(bundle.file, optimize=True))
        TextToImage(recorder, bundle.info, bundle.tokenizer).generate(
            Request(first.prompt, first.negative, guidance=first.guidance, seed=first.seed)
        )
        each_step = passes(first)
        assert len(recorder.samples["unet"]) == each_step * config.steps
        calls = [
            recorder.samples["unet"][each_step * step + place].feeds
            for step in first.kept
            for place in range(each_step)
        ]
        recorded = Samples(made.folder, "unet", partial(operator.eq, unit_name(number)))
        for expected, found in zip(calls, recorded, strict=True):
            assert set(found) == set(expected)
            for name, value in found.items():
                assert value.dtype == expected[name].dtype
                np.testing.assert_array_equal(value, expected[name])


def test_each_component_has_its_samples(pipeline: BuildPipeline) -> None:
    config = pipeline.model.calibration
    for made, part in ((pipeline.calibration(), config), (pipeline.held_out(), config.held_out)):
        texts = [read_prompts(ROOT / "assets" / name) for name in (part.prompts, part.negatives)]
        trajectories = json.loads(made.file("manifest.json").read_text())["settings"]["trajectories"]
        assert len(trajectories) == part.trajectories
        counts = {component: len(pipeline.samples(made, component)) for component in COMPONENTS}
        assert counts == made.metadata
        # Every prompt, every negative one and the empty one; a pass or two of each kept step.
        assert counts["text_encoder"] == len(texts[0]) + len(texts[1]) + 1
        assert counts["unet"] == config.kept_steps * sum(2 if each["guidance"] > 1 else 1 for each in trajectories)
        assert counts["vae_decoder"] == counts["vae_encoder"] == part.images
        assert {path.suffix for path in made.folder.rglob("*") if path.is_file()} == {".npy", ".json"}
    for feeds in pipeline.samples(pipeline.calibration(), "vae_encoder"):
        assert np.abs(feeds["image"]).max() <= 1


def test_verification_has_its_own_recording(pipeline: BuildPipeline) -> None:
    """Some trajectories for each setting, the same steps of each; few texts, the longest prompt first."""
    config, made, plan = pipeline.model.verification, pipeline.verification(), pipeline.verification_plan()
    counted = Counter(each.setting for each in plan)
    assert counted == dict.fromkeys(pipeline.model.settings, config.prompts_per_setting)
    assert plan[0].setting == pipeline.model.default_settings[-1]
    assert plan[0].setting.negative
    counts = {component: len(pipeline.samples(made, component)) for component in COMPONENTS}
    assert counts == made.metadata
    assert counts["text_encoder"] == config.texts
    assert counts["unet"] == len(config.kept) * sum(passes(each) for each in plan)
    assert counts["vae_decoder"] == counts["vae_encoder"] == config.images
    for number, trajectory in enumerate(plan):
        of_unit = Samples(made.folder, "unet", partial(operator.eq, unit_name(number)))
        times = [float(feeds["timestep"][0]) for feeds in of_unit]
        assert len(times) == passes(trajectory) * len(config.kept)
        assert times == sorted(times, reverse=True)
        assert len(set(times)) == len(config.kept)
    texts = json.loads(made.file("manifest.json").read_text())["settings"]["texts"]
    prompts, negatives = (read_prompts(ROOT / "assets" / name) for name in (config.prompts, config.negatives))
    assert texts[:2] == [max(prompts, key=len), negatives[0]]
    assert set(texts[2:]) <= set(prompts)


def test_what_judges_is_of_other_prompts_and_noise(pipeline: BuildPipeline) -> None:
    """None of the three recordings shares a prompt, a negative one or noise with another."""
    recordings = (pipeline.calibration(), pipeline.held_out(), pipeline.verification())
    settings = [json.loads(made.file("manifest.json").read_text())["settings"] for made in recordings]
    for one in settings[:2]:
        assert {each[text] for each in one["trajectories"] for text in ("prompt", "negative")} <= set(one["texts"])
    for one, other in itertools.combinations(settings, 2):
        for what in ("prompt", "seed"):
            assert not {each[what] for each in one["trajectories"]} & {each[what] for each in other["trajectories"]}
        # But for the empty text, which every model is told.
        texts = [{*each["texts"], *(told["negative"] for told in each["trajectories"])} for each in (one, other)]
        assert texts[0] & texts[1] == {""}
    recorded = [{feeds["sample"].tobytes() for feeds in pipeline.samples(made, "unet")} for made in recordings]
    for one, other in itertools.combinations(recorded, 2):
        assert not one & other


def test_only_adarounds_judgement_needs_held_out_data(tmp_path: Path) -> None:
    pipeline = BuildPipeline(load_model("tiny-sd"), QUIET, cache=tmp_path, dry_run=True, rounding="nearest")
    pipeline.build_bundle(load_profile("sm8650"))
    assert [planned.component for planned in pipeline.plan].count("all") == 2  # one recording, and the bundle
    recorded = [planned.component for planned in pipeline.plan if planned.stage == "calibrate"]
    assert sorted(recorded) == ["all", "verification"]
    rounding = BuildPipeline(load_model("tiny-sd"), QUIET, cache=tmp_path, dry_run=True)
    rounding.build_bundle(load_profile("sm8650"))
    recorded = [planned.component for planned in rounding.plan if planned.stage == "calibrate"]
    assert sorted(recorded) == ["all", "held-out", "verification"]
    unverified = BuildPipeline(
        load_model("tiny-sd"), QUIET, cache=tmp_path, dry_run=True, rounding="nearest", verify=False
    )
    unverified.build_bundle(load_profile("sm8650"))
    assert [planned.component for planned in unverified.plan if planned.stage == "calibrate"] == ["all"]
    assert "verify" not in {planned.stage for planned in unverified.plan}


def test_data_of_another_model_or_setting_is_another_artifact(tmp_path: Path) -> None:
    """What was recorded of one model can't be taken for another's."""
    model = load_model("tiny-sd")
    other = tmp_path / "other"
    shutil.copytree(ROOT / "assets" / "tiny-sd", other)
    weights = other / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    mine = tmp_path / "mine.txt"
    mine.write_text("a red circle\n")

    def keys(model: ModelConfig, sources: Sources | None = None, prompts: Path | None = None) -> tuple[str, str, str]:
        pipeline = BuildPipeline(model, QUIET, sources, tmp_path / "cache", dry_run=True, prompts=prompts)
        return pipeline.calibration().key, pipeline.held_out().key, pipeline.verification().key

    usual = keys(model)
    for changed in (
        keys(model.resized(192, 128)),
        keys(model, Sources(str(other))),
        keys(model.model_copy(update={"guidance": 5.0})),
        keys(model.model_copy(update={"calibration": model.calibration.model_copy(update={"guidance": (12.0,)})})),
    ):
        assert not set(usual) & set(changed)
    # A user's prompts are calibrated with, and judged on ours.
    assert keys(model, prompts=mine)[0] != usual[0]
    assert keys(model, prompts=mine)[1:] == usual[1:]
    assert keys(model) == usual


# Records in a cache, and stops in the middle of the second prompt until it is ended.
CHILD = """
import resource, sys
from contextlib import contextmanager
from pathlib import Path
from test_calibration import small_model
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError

class Stops(Console):
    @contextmanager
    def progress(self, title, total, done=0):
        self.steps = done
        yield self

    def advance(self, note=""):
        self.steps += 1
        if self.steps == 4:
            print("in the middle", flush=True)
            sys.stdin.read()

cache, largest_file = Path(sys.argv[1]), int(sys.argv[2])
if largest_file:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
console = Console(quiet=True) if largest_file else Stops(quiet=True)
try:
    BuildPipeline(small_model(), console, cache=cache).calibration()
except QnnSdError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def exported(cache: Path, pipeline: BuildPipeline, tmp_path: Path) -> Path:
    """A cache with the float graphs alone."""
    for component in ("text_encoder", "unet", "vae_decoder"):
        pipeline.export(component)
    shutil.copytree(cache / "export", tmp_path / "cache" / "export")
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def undisturbed(cache: Path) -> dict[str, str]:
    """Hashes of a recording that nothing disturbed."""
    return hashes(BuildPipeline(small_model(), QUIET, cache=cache).calibration().folder)


def hashes(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in sorted(folder.rglob("*.npy"))}


@pytest.fixture
def child(exported: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Starts a recording in a process of its own, with a limit on the size of files (0 for none)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    started: list[subprocess.Popen[str]] = []

    def start(largest_file: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(exported), str(largest_file)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        return started[0]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_recording_that_was_ended_goes_on_to_the_same_bytes(
    by: signal.Signals,
    exported: Path,
    undisturbed: dict[str, str],
    child: Callable[[int], subprocess.Popen[str]],
) -> None:
    process = child(0)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(by)
    assert process.wait(60) != 0
    [left] = (exported / "calibrate").iterdir()
    assert sorted(path.name for path in left.iterdir()) == ["0000", "texts"]
    inodes = {path: path.stat().st_ino for path in (left / "0000").rglob("*.npy")}
    assert inodes
    # As a recorder leaves it that is killed while it writes.
    half = left / ".0001.part" / "unet"
    half.mkdir(parents=True)
    (half / "sample.npy").write_bytes(b"half")
    made = BuildPipeline(small_model(), QUIET, cache=exported).calibration()
    assert not made.cached
    assert hashes(made.folder) == undisturbed
    assert {left / path.relative_to(made.folder): path.stat().st_ino for path in made.folder.glob("0000/*/*")} == inodes
    assert list((exported / "calibrate").iterdir()) == [made.folder]


def test_a_full_disk_costs_only_the_prompt_at_hand(
    exported: Path, undisturbed: dict[str, str], child: Callable[[int], subprocess.Popen[str]]
) -> None:
    """Files of 150 kB can be written, the image of the last prompt can't."""
    process = child(150_000)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == OutputError.exit_code
    assert "Can't write" in said
    assert "File too large" in said
    [left] = (exported / "calibrate").iterdir()
    assert sorted(path.name for path in left.iterdir()) == ["0000", "0001", "texts"]
    assert hashes(BuildPipeline(small_model(), QUIET, cache=exported).calibration().folder) == undisturbed


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    """Neither while they are recorded, a prompt at a time, nor while they are read, one at a time."""
    sample_bytes = 4 * 50_000
    plan = plan_trajectories(TEXTS, ATTRIBUTE_INPUTS, 40, 20, 4, 1, seed=0)

    def generate(trajectory: Trajectory, _on_step: Callable[[], None]) -> dict[str, list[Feeds]]:
        noise = np.random.default_rng(trajectory.seed)
        return {"unet": [{"sample": noise.standard_normal((1, 50_000), np.float32)} for _ in trajectory.kept]}

    tracemalloc.start()
    record(
        tmp_path, {"text_encoder": [{"input_ids": np.zeros((1, 77), np.int32)}]}, plan, 20, generate, "recording", QUIET
    )
    recording = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    samples = Samples(tmp_path, "unet")
    total = sum(feeds["sample"].nbytes for feeds in samples)
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 160 * sample_bytes
    # A prompt's four samples, stacked, as bytes of a file, and what the buffer for those grew to.
    assert recording < 4 * 4 * sample_bytes + 2**20
    assert reading < 3 * sample_bytes + 2**20


def test_samples_keep_their_place_and_type(tmp_path: Path) -> None:
    for unit, values in (("0001", [3, 4]), ("0000", [0, 1, 2])):
        write_unit(tmp_path, unit, {"unet": [{"x": np.full((1, 2), value, np.int32)} for value in values]})
    samples = Samples(tmp_path, "unet")
    assert [int(feeds["x"][0, 0]) for feeds in samples] == [0, 1, 2, 3, 4]
    assert [int(samples[index]["x"][0, 1]) for index in (4, 2, 0)] == [4, 2, 0]
    assert samples[3]["x"].dtype == np.int32
    assert samples[3]["x"].shape == (1, 2)
    for index in (-1, 5):
        with pytest.raises(IndexError):
            samples[index]
    assert len(Samples(tmp_path, "vae_decoder")) == 0


def test_samples_of_some_units_alone(tmp_path: Path) -> None:
    for unit, values in (("0002", [5]), ("0001", [3, 4]), ("0000", [0, 1, 2]), ("texts", [9])):
        write_unit(tmp_path, unit, {"unet": [{"x": np.full((1,), value, np.int32)} for value in values]})

    def values(samples: Samples) -> list[int]:
        return [int(feeds["x"][0]) for feeds in samples]

    some = Samples(tmp_path, "unet", lambda unit: unit in ("0002", "0000"))
    assert values(some) == [0, 1, 2, 5]
    assert len(some) == 4
    assert int(some[3]["x"][0]) == 5
    with pytest.raises(IndexError):
        some[4]
    others = Samples(tmp_path, "unet", lambda unit: unit not in ("0002", "0000"))
    assert values(others) == [3, 4, 9]
    assert len(others) + len(some) == len(Samples(tmp_path, "unet"))
    assert values(Samples(tmp_path, "unet", lambda _unit: False)) == []


def test_a_model_that_overflows_names_the_layer_at_once(tmp_path: Path) -> None:
    with Graph("unet", tmp_path) as g:
        small_graph(g)

    def generate(runner: Runner, _trajectory: Trajectory, _on_step: Callable[[], None]) -> None:
        runner.load("unet")
        runner.run("unet", {"x": np.full((1, 3, 6, 6), 3e38, np.float32)})

    cpu = CpuRunner(lambda _name: tmp_path / MODEL_FILE, optimize=True)
    recorder = CalibrationRecorder(cpu, {"unet": tmp_path}, {"unet": "steps"}, {}, lambda _guidance: 2, generate)
    with pytest.raises(QuantizeError, match="NaN or infinity in first"):
        recorder.record(Trajectory("", "", 4.0, 0, (0,), False), lambda: None)


@pytest.mark.parametrize(("guidance", "kept"), [(1.0, [0, 2]), (7.5, [0, 1, 4, 5])])
def test_a_kept_step_has_as_many_passes_as_its_guidance_needs(guidance: float, kept: list[int], tmp_path: Path) -> None:
    with Graph("unet", tmp_path) as g:
        small_graph(g)

    def generate(runner: Runner, _trajectory: Trajectory, _on_step: Callable[[], None]) -> None:
        runner.load("unet")
        for call in range(6):
            runner.run("unet", {"x": np.full((1, 3, 6, 6), call, np.float32)})

    cpu = CpuRunner(lambda _name: tmp_path / MODEL_FILE, optimize=True)
    recorder = CalibrationRecorder(
        cpu, {"unet": tmp_path}, {"unet": "steps"}, {}, lambda scale: 2 if scale > 1 else 1, generate
    )
    generated = recorder.record(Trajectory("", "", guidance, 0, (0, 2), False), lambda: None)
    assert [int(feeds["x"][0, 0, 0, 0]) for feeds in generated["unet"]] == kept


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no prompts"),
        (b"\n \n# only this\n", "has no prompts"),
        ("a castle\nein Schloß\n".encode("latin-1"), "Line 2 has the byte 0xdf"),
        ("a castle".encode("utf-16"), "begins as UTF-16"),
        ("a castle".encode("utf-16-le"), "control character U+0000"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8"),
        (b"ONNX\x08\x07\x12", "is no text"),
    ],
)
def test_files_that_hold_no_prompts_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(QuantizeError) as caught:
        read_prompts(path)
    assert message in str(caught.value)
    assert "UTF-8" in caught.value.hint


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    os.truncate(path, 4 * 2**30)
    with pytest.raises(QuantizeError, match="is no file of prompts"):
        read_prompts(path)


def test_prompts_as_people_save_them(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeff# mine\r\n  a castle \r\n\r\n\t# not this\r\nein Schloß\tam Meer\u2028bei Nacht".encode())
    assert read_prompts(path) == ["a castle", "ein Schloß\tam Meer\u2028bei Nacht"]


def test_own_prompts_are_generated_and_long_ones_named(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(f"a red circle\n{'blue ' * 100}\n", "utf-8")
    pipeline = BuildPipeline(small_model(), QUIET, cache=exported, prompts=mine)
    made = pipeline.calibration()
    # Two prompts, the empty one, and the model's negative ones.
    texts = 3 + len(read_prompts(ROOT / "assets" / pipeline.model.calibration.negatives))
    assert f"1 of {texts} prompts are too long for the text encoder" in capsys.readouterr().err
    settings = json.loads(made.file("manifest.json").read_text())["settings"]
    assert {each["prompt"] for each in settings["trajectories"]} == set(read_prompts(mine))
    assert len(pipeline.samples(made, "text_encoder")) == texts


@pytest.mark.parametrize("command", ["compile", "run"])
def test_bad_prompts_are_told_before_any_work(
    command: str, cli_here: CliHere, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("prompts")
    empty = folder / "empty.txt"
    empty.touch()
    arguments = [command, *(["a red circle"] if command == "run" else [])]
    assert "has no prompts" in cli_here.refused(13, *arguments, "--prompts", str(empty))
    assert "No such file" in cli_here.refused(13, *arguments, "--dry-run", "--prompts", str(folder / "none.txt"))


def test_own_prompts_are_another_build(
    cli_here: CliHere, pipeline: BuildPipeline, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pipeline.quantize("unet")
    mine = tmp_path_factory.mktemp("prompts") / "mine.txt"
    mine.write_text("a red circle\na blue star\n", "utf-8")

    def states(*arguments: str) -> dict[str, bool]:
        stages = cli_here.json("compile", "--dry-run", *arguments)["stages"]
        whole = (None, None)
        return {
            stage["stage"]: stage["cached"]
            for stage in stages
            if stage["component"] == "unet" or (stage["component"], stage["subject"]) == whole
        }

    usual = states()
    assert usual["calibrate"]
    assert usual["quantize"]
    changed = states("--prompts", str(mine))
    assert changed["export"]
    assert not changed["calibrate"]
    assert not changed["quantize"]


@pytest.mark.parametrize("option", ["--prompts", "--encodings"])
def test_what_quantizes_means_nothing_for_float_graphs(option: str, cli_here: CliHere) -> None:
    message = cli_here.refused(3, "run", "a red circle", "--target", "cpu", option, "mine")
    assert f"{option} has no meaning" in message
