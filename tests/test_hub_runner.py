"""``qnn-sd run --target hub:DEVICE``: every call is a job, the image is the emulator's, and no job is run twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from cli_here import CliHere
from PIL import Image

from qnn_sd.ai_hub import CloudDevice, HubJob, HubModel, InferenceWork
from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor
from qnn_sd.binaries.found import FoundBinary
from qnn_sd.cli.hub_network import HubNetwork
from qnn_sd.cli.hub_run import HubPlace
from qnn_sd.cli.hub_runner import HubRunner
from qnn_sd.cli.like_command import _target_options
from qnn_sd.cli.recalled_image import RecalledImage
from qnn_sd.cli.value_types import Target
from qnn_sd.errors import TargetError
from qnn_sd.generate import Request
from qnn_sd.hub_stand_in import StandIn
from qnn_sd.image_metadata import TargetKind
from qnn_sd.pipeline import BuildPipeline

DEVICE = CloudDevice("Samsung Galaxy S24", "14", ())
RUN = ("run", "a red circle", "--steps", "1", "--guidance", "1", "--seed", "3")


class Account:
    """A service whose device answers the sum of its inputs, and notes the jobs."""

    is_stand_in = False

    def __init__(self) -> None:
        self.jobs: list[InferenceWork] = []

    def upload(self, _source: Path, label: str) -> HubModel:
        return HubModel("m1", "0", label)

    def submit(self, work: InferenceWork) -> HubJob:
        self.jobs.append(work)
        return HubJob(str(len(self.jobs)), "inference", work.label, DEVICE.name, "https://hub/jobs/1/", "0")

    def wait(self, jobs: Any, deadline_s: float) -> None:
        """It has ended."""

    def outputs(self, job: HubJob) -> Mapping[str, list[np.ndarray]]:
        inputs = self.jobs[int(job.id) - 1].inputs
        return {"y": [a + b for a, b in zip(inputs["x"], inputs["c"], strict=True)]}

    def qairt_versions(self) -> list[str]:
        return []


def tensor(name: str) -> BinaryTensor:
    return BinaryTensor(name=name, dtype="float32", dims=[2], encoding=None, layout=None, version=1)


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def runner(account: Account) -> HubRunner:
    graph = BinaryGraph.model_construct(name="unet", inputs=[tensor("x"), tensor("c")], outputs=[tensor("y")])
    network = HubNetwork("unet", FoundBinary(Path("model.bin"), None), graph)
    made = HubRunner(account, DEVICE, {"unet": network}, 1.0, "sd15")  # type: ignore[arg-type]
    made.load("unet")
    return made


def array(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def test_both_guidance_passes_are_one_job(account: Account, runner: HubRunner) -> None:
    passes = [{"c": array(0, 0)}, {"c": array(1, 2)}]
    outputs = runner.run_guided("unet", {"x": array(10, 20)}, passes, 3.0)
    assert outputs["y"].tolist() == [13.0, 26.0]
    [job] = account.jobs
    assert [each.tolist() for each in job.inputs["c"]] == [[0, 0], [1, 2]]
    assert runner.run("unet", {"x": array(1, 1), "c": array(0, 0)})["y"].tolist() == [1, 1]
    assert len(account.jobs) == 2


def test_inputs_that_are_missing_are_named(account: Account, runner: HubRunner) -> None:
    with pytest.raises(TargetError, match="unet lacks inputs on hub:Samsung Galaxy S24") as raised:
        runner.run("unet", {"x": array(1, 1)})
    assert raised.value.why == "Missing: c."
    assert account.jobs == []


@pytest.mark.parametrize(
    ("scheduler", "jobs"), [("dpm++2m", 2 + 2 * (4 + 1)), ("heun", 2 + 2 * (7 + 1)), ("pndm", 2 + 2 * (5 + 1))]
)
def test_the_jobs_that_are_announced_are_the_schedulers_calls(
    scheduler: str, jobs: int, pipeline: BuildPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both texts, and for each of two images the UNet's calls and the decoder's, whatever a step takes."""
    monkeypatch.setattr("qnn_sd.cli.hub_run.require_consent", lambda *_args: None)
    said: list[str] = []
    console = SimpleNamespace(say=said.append, warn=said.append)
    request = Request("a red circle", steps=4, guidance=4.0, scheduler=scheduler, count=2)
    place = HubPlace(Account(), SimpleNamespace())  # type: ignore[arg-type]
    place.announce(request, pipeline, True, console)  # type: ignore[arg-type]
    assert said[0].startswith(f"{jobs} jobs at AI Hub")


def test_an_image_is_the_emulator_s_and_is_made_again_without_a_job(
    bundles_in_cache: None, cli_here: CliHere, hub: StandIn
) -> None:
    there = cli_here.json(*RUN, "--target", "hub:samsung galaxy s24", "-o", "there.png")
    assert there["target"] == "hub:Samsung Galaxy S24 (stand-in, not a device)"
    # The stand-in is the emulator, and the image says so.
    assert there["images"][0]["metadata"]["target"] == "emulator"
    assert hub.counts.jobs == {"inference": 3}
    here = cli_here.json(*RUN, "-o", "here.png")
    assert here["target"] == "emulator"
    pixels = [np.asarray(Image.open(cli_here.folder / name)) for name in ("there.png", "here.png")]
    assert np.array_equal(*pixels)
    again = cli_here(*RUN, "--target", "hub:samsung galaxy s24", "-o", "again.png")
    assert "3 jobs at the stand-in, one after the other; no device is used" in again.stderr
    assert hub.counts.jobs == {"inference": 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--target", "hub:Samsung Galaxy S24", "--precision", "w8a16"),
            "--precision has no meaning with --target hub:",
        ),
        (("--allow-upload",), "--allow-upload has no meaning with --target emulator"),
    ],
)
def test_options_of_other_targets_are_refused(cli_here: CliHere, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli_here.refused(3, *RUN, *arguments)


def test_a_target_that_does_not_exist_is_told_what_there_is(cli_here: CliHere) -> None:
    said = cli_here.refused(2, *RUN, "--target", "cloud")
    assert "Choose emulator, cpu, phone or hub:DEVICE." in said


def test_a_shell_completes_targets_and_devices() -> None:
    target = Target(["emulator", "cpu", "phone", "hub:DEVICE"])
    context = click.Context(click.Command("run"))

    def offered(typed: str) -> list[str]:
        return [each.value for each in target.shell_complete(context, click.Argument(["target"]), typed)]

    assert offered("e") == ["emulator"]
    assert "hub:Samsung Galaxy S24" in offered("hub:sam")
    assert "hub:DEVICE" not in offered("hub:")
    assert target.convert(" HUB: Samsung Galaxy S24", None, context) == "hub:Samsung Galaxy S24"
    assert target.convert("CPU", None, context) == "cpu"


@pytest.mark.parametrize("target", ["hub", "phone"])
def test_an_image_of_a_device_comes_again_on_the_emulator_unless_it_is_named(target: TargetKind) -> None:
    image = RecalledImage(Path("out.png"), {}, target, "sm8650", is_quantized=True)
    assert _target_options(image, {}) == {"target": "emulator", "soc": "sm8650"}
    assert _target_options(image, {"target": "hub:Samsung Galaxy S24"}) == {"target": "hub:Samsung Galaxy S24"}
