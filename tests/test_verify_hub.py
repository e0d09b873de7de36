"""``qnn-sd verify --hub``: silicon against emulator, QDQ and float, with a stand-in that is told what to do wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT, json_document

from qnn_sd.ai_hub import CloudDevice, HubJob, HubService
from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor, TensorEncoding
from qnn_sd.binaries.found import FoundBinary
from qnn_sd.cli import verify_hub
from qnn_sd.cli.documents.verify_hub import ComparedComponent, SiliconJob
from qnn_sd.cli.hub_network import HubNetwork, job_options, outputs_of_job
from qnn_sd.cli.verify_hub_causes import likely_causes
from qnn_sd.cli.verify_hub_comparison import OutputsOfAll, compare, silicon_gate
from qnn_sd.cli.verify_hub_references import ComponentOfBuild
from qnn_sd.cli.verify_hub_targets import components_of_build, open_targets
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError, HubJobError, HubServiceError, VerificationError
from qnn_sd.hub_stand_in import Faults, JobFailure, Noise, StandIn, Stuck, Weakened
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.verification import VerificationInput

GATE = silicon_gate(75)
JOB = SiliconJob(id="j1", url="https://hub/jobs/j1/", kept=False, median_ms=1.0, best_ms=0.9, qairt="2.50.40")
PASSES = [VerificationInput(f"step {n // 2 + 1}, pass {n % 2}", {}, pair=n // 2, step=n // 2 + 1) for n in range(4)]
S24 = ("verify", "--hub", "Samsung Galaxy S24")


# Figures


def compared(silicon: Sequence[np.ndarray], emulator: Sequence[np.ndarray]) -> ComparedComponent:
    """Where QDQ and float graph are the emulator's equals."""
    ours, theirs = [{"noise": each} for each in emulator], [{"noise": each} for each in silicon]
    return compare("unet", PASSES, OutputsOfAll(theirs, ours, ours, ours), JOB, GATE)


@pytest.fixture
def passes(rng: np.random.Generator) -> list[np.ndarray]:
    """Outputs of two sampling steps; what the prompt changes is 30 dB below a pass."""
    first = [rng.standard_normal((1, 4, 16, 16)) for _ in range(2)]
    return [each + n * 10**-1.5 * rng.standard_normal(each.shape) for each in first for n in range(2)]


def test_equal_outputs_reach_the_cap_and_have_no_cause(passes: list[np.ndarray]) -> None:
    found = compared(passes, passes)
    for sqnr in (found.against_emulator, found.against_qdq, found.against_float):
        assert sqnr is not None
        assert (sqnr.all_db, sqnr.worst_db, sqnr.difference_db) == (200.0, 200.0, 200.0)
    assert found.difference_gain is not None
    assert (found.difference_gain.gain, found.difference_gain.margin) == (1.0, 0.0)
    assert found.parts_at is None
    assert likely_causes({"unet": found}, GATE, 75, "2.50.40") == []


def test_noise_that_no_pass_shows_is_seen_in_the_difference(passes: list[np.ndarray], rng: np.random.Generator) -> None:
    """52 dB below each pass, and two passes of it 19 dB below their difference; the second step alone."""
    noisy = [each + (n > 1) * 10**-2.6 * rng.standard_normal(each.shape) for n, each in enumerate(passes)]
    found = compared(noisy, passes)
    assert found.against_qdq.worst_db > 50
    assert found.against_qdq.difference_db == pytest.approx(19, abs=1)
    assert found.parts_at is not None
    assert found.parts_at.step == 2
    assert found.difference_gain is not None
    assert abs(found.difference_gain.gain - 1) < found.difference_gain.margin
    [first, *_] = likely_causes({"unet": found}, GATE, 75, "2.50.40")
    assert "A small error of unet as a whole, which hides what the prompt changes" in first


@pytest.mark.parametrize(("factor", "said"), [(0.8, "20% weaker"), (1.2, "20% stronger")])
def test_conditioning_that_counts_for_less_or_more_is_named(passes: list[np.ndarray], factor: float, said: str) -> None:
    changed = [each if n % 2 == 0 else passes[n - 1] + factor * (each - passes[n - 1]) for n, each in enumerate(passes)]
    found = compared(changed, passes)
    assert found.difference_gain is not None
    assert found.difference_gain.gain == pytest.approx(factor, abs=1e-4)
    assert found.against_qdq.difference_db == pytest.approx(-20 * np.log10(abs(1 - factor)), abs=0.1)
    [first, *_] = likely_causes({"unet": found}, GATE, 75, "2.50.40")
    assert first == f"The conditioning of unet: what the prompt changes is {said} on the device"


def test_the_causes_tell_miscompiles_single_calls_and_versions_apart(
    passes: list[np.ndarray], rng: np.random.Generator
) -> None:
    def causes(found: ComparedComponent, qairt: str = "2.50.40") -> str:
        return "; ".join(likely_causes({"unet": found}, GATE, 75, qairt))

    def noisy(db: float, of: int = 4) -> ComparedComponent:
        noise = [10 ** (-db / 20) * rng.standard_normal(each.shape) for each in passes]
        return compared([each + (n < of) * noise[n] for n, each in enumerate(passes)], passes)

    assert "miscompile that shows on an HTP v75 alone" in causes(noisy(15))
    assert "fp16" in causes(noisy(40))
    assert "1 of 2 are more than 10 dB below the best" in causes(noisy(40, of=2))
    assert "QAIRT 2.50.40, the emulator here is of 2.47.0" in causes(noisy(40), "2.47.0")
    assert "QAIRT" not in causes(noisy(40))


def test_numbers_that_are_none_are_refused(passes: list[np.ndarray]) -> None:
    broken = [each.copy() for each in passes]
    broken[3][0, 0, 0, 0] = np.nan
    with pytest.raises(VerificationError, match="unet: the device answers with NaN or infinity") as raised:
        compared(broken, passes)
    assert "step 2, pass 1" in raised.value.why


# What a job gave


ENCODING = TensorEncoding(kind="scale_offset", bits=16, scale=0.5, offset=-4)
TENSORS = [
    BinaryTensor(name="a", dtype="ufixed16", dims=[1, 3], encoding=ENCODING, layout=None, version=1),
    BinaryTensor(name="b", dtype="float32", dims=[2], encoding=None, layout=None, version=1),
]
SENT = HubJob("j1", "inference", "unet", "Samsung Galaxy S24", "https://hub/jobs/j1/", "0")


def network() -> HubNetwork:
    """One whose binary has an integer output and a float one."""
    graph = BinaryGraph.model_construct(name="unet", inputs=[], outputs=TENSORS)
    return HubNetwork("unet", FoundBinary(Path("model.bin"), None), graph)


def test_integers_of_the_binary_become_values_and_values_stay() -> None:
    a, b = np.array([[4, 5, 2]], np.uint16), np.array([1.5, 2.5], np.float32)
    [answer] = outputs_of_job(network(), 1, {"b": [b], "a": [a]}, SENT)
    assert list(answer) == ["a", "b"]
    assert answer["a"].tolist() == [[0.0, 0.5, -1.0]]
    assert answer["b"].tolist() == [1.5, 2.5]
    [same] = outputs_of_job(network(), 1, {"a": [np.array([[0.0, 0.5, -1.0]], np.float32)], "b": [b]}, SENT)
    assert same["a"].tolist() == [[0.0, 0.5, -1.0]]


@pytest.mark.parametrize(
    ("a", "why"),
    [
        (None, "The output a isn't among them: b."),
        ([np.zeros((3, 1), np.uint16)], "The output a has shape [3, 1], the binary's has [1, 3]."),
        ([np.zeros((1, 3), np.uint16)] * 2, "The output a is there 2 times, for 1 inputs."),
        ([np.zeros((1, 3), np.int32)], "The output a is of int32, the binary's of ufixed16."),
    ],
)
def test_outputs_that_are_not_the_graph_s_are_refused(a: list[np.ndarray] | None, why: str) -> None:
    given: Mapping[str, list[np.ndarray]] = {"b": [np.zeros(2, np.float32)], **({} if a is None else {"a": a})}
    with pytest.raises(HubJobError, match="The job's outputs aren't those of unet") as raised:
        outputs_of_job(network(), 1, given, SENT)
    assert why in raised.value.why
    assert SENT.url in raised.value.why


# Which device, which libraries

QNN = "framework:qnn"


class Account:
    """What is asked of a service before anything is uploaded."""

    def __init__(
        self,
        device: CloudDevice | None = None,
        releases: Sequence[str] = (),
        devices: Sequence[CloudDevice] = (),
    ) -> None:
        self._device, self._releases, self._devices = device, list(releases), list(devices)

    def devices(self) -> list[CloudDevice]:
        return self._devices

    def find_device(self, _name: str) -> CloudDevice | None:
        return self._device

    def qairt_versions(self) -> list[str]:
        return self._releases


def targets_of(device: CloudDevice, soc: str | None) -> Any:
    return open_targets(Account(device), ["it"], soc, Console(quiet=True))  # type: ignore[arg-type]


def test_a_device_gets_the_binaries_of_its_own_soc() -> None:
    device = CloudDevice("Samsung Galaxy S24", "14", ("chipset:qualcomm-snapdragon-8gen3", "hexagon:v75", QNN))
    [target] = targets_of(device, None)
    assert (target.device, target.profile.soc) == (device, "sm8650")
    with pytest.raises(HubDeviceError, match="can't show what binaries for sm8550 compute") as raised:
        targets_of(device, "sm8550")
    assert raised.value.why == "They are for HTP v73, and it has an HTP v75."


def test_all_are_one_device_of_every_soc_with_a_profile() -> None:
    chips = {"A": "8gen3", "B": "8gen3", "C": "8gen2"}
    devices = [
        CloudDevice(
            name, "14", (f"chipset:qualcomm-snapdragon-{chip}", f"hexagon:v{75 if chip == '8gen3' else 73}", QNN)
        )
        for name, chip in chips.items()
    ]
    account: Any = Account(devices=devices)
    targets = open_targets(account, ["all"], None, Console(quiet=True))
    assert [(each.device.name, each.profile.soc) for each in targets] == [("C", "sm8550"), ("A", "sm8650")]


def test_a_device_of_an_unknown_soc_needs_a_soc_of_its_htp() -> None:
    device = CloudDevice("Something", "14", ("chipset:qualcomm-unheard-of", "hexagon:v75", QNN))
    with pytest.raises(HubDeviceError, match="There are no binaries for Something"):
        targets_of(device, None)
    [target] = targets_of(device, "sm8650")
    assert target.profile.soc == "sm8650"


def test_the_libraries_asked_for_load_the_binary() -> None:
    account: Any = Account(releases=["2.45", "2.51", "2.52"])
    with patch.object(HubNetwork, "qairt", "2.50.40"):
        assert job_options(network(), account) == "--qairt_version 2.51"
    with patch.object(HubNetwork, "qairt", "2.53.0"), pytest.raises(HubServiceError, match="no QAIRT that loads"):
        job_options(network(), account)
    assert job_options(network(), account) == ""


# The command


@pytest.fixture
def few_inputs() -> Iterator[None]:
    """A text, an image, and the sampling step whose guidance difference is smallest: seconds on the emulator."""

    def few(*arguments: Any) -> list[ComponentOfBuild]:
        every = components_of_build(*arguments)
        pair = [each for each in every if each.name == "unet"]
        chosen = {each.name: list(each.inputs[:1]) for each in every}
        for unet in pair:
            chosen["unet"] = [each for each in unet.inputs if each.label.startswith("prompt 2, guidance 4, step 10")]
            assert len(chosen["unet"]) == 2
        return [replace(each, inputs=chosen[each.name]) for each in every]

    with patch.object(verify_hub, "components_of_build", few):
        yield


@pytest.fixture
def command(bundles_in_cache: None, few_inputs: None, cli_here: CliHere) -> CliHere:
    """The command, with the demo built."""
    return cli_here


def test_a_device_that_computes_the_same_passes_and_no_job_is_submitted_twice(command: CliHere, hub: StandIn) -> None:
    document = command.json(*S24, "--report", "page.md")
    [device] = document["devices"]
    assert (device["device"], device["soc"], device["stand_in"]) == ("Samsung Galaxy S24", "sm8650", True)
    assert list(device["components"]) == ["text_encoder", "unet", "vae_decoder"]
    for each in device["components"].values():
        of_emulator, of_qdq = each["against_emulator"], each["against_qdq"]
        assert (of_emulator["all_db"], of_emulator["worst_db"]) == (200.0, 200.0)
        assert of_emulator["difference_db"] in (None, 200.0)
        assert of_qdq == each["emulator_against_qdq"]
        assert of_qdq["worst_db"] > 55
        assert 40 < each["against_float"]["worst_db"] < of_qdq["worst_db"]
        assert each["job"]["median_ms"] > 0
        assert each["job"]["qairt"] == device["emulator_qairt"]
    assert (document["verdict"], device["parts_in"], device["causes"]) == ("passed", None, [])
    page = (command.folder / "page.md").read_text()
    assert "These figures are of the stand-in, not a device" in page
    assert page.startswith("# qnn-sd against a stand-in for Qualcomm AI Hub: no device\n")
    assert "**Passed, against a stand-in: no device.**" in page
    assert document["stand_in"]
    assert all(each["job"]["url"] in page for each in device["components"].values())
    assert hub.counts.jobs == {"inference": 3}

    again = command.json(*S24)
    assert again["devices"][0]["components"] == device["components"]
    assert hub.counts.jobs == {"inference": 3}


def test_noise_on_one_component_names_that_one_and_passes_the_other(command: CliHere, hub: StandIn) -> None:
    hub.set_faults(Faults(noises=(Noise("text_encoder", 30.0),)))
    done = command(*S24, "--component", "text_encoder", "--component", "vae_decoder", "--json")
    assert done.returncode == 15
    document = json_document(done.stdout)
    [device] = document["devices"]
    noisy, other = device["components"].values()
    assert noisy["against_emulator"]["all_db"] == pytest.approx(30, abs=0.1)
    assert noisy["parts_at"]["label"] == "text 1"
    assert (other["against_emulator"]["all_db"], other["parts_at"]) == (200.0, None)
    assert device["parts_in"] == "text_encoder"
    assert document["error"] == device["error"]
    error = document["error"]
    assert error["what"].startswith(
        "text_encoder on Samsung Galaxy S24 (stand-in) is refused: silicon against QDQ graph"
    )
    assert "With the same inputs the emulator reaches 6" in error["why"]
    assert "--component text_encoder --hub-form onnx" in error["next"]


def test_noise_that_only_the_guidance_difference_shows_is_refused_by_it(command: CliHere, hub: StandIn) -> None:
    hub.set_faults(Faults(noises=(Noise("unet", 52.0),)))
    said = command(*S24, "--component", "unet").stderr
    assert "unet on Samsung Galaxy S24 (stand-in) is refused" in said
    assert "in the difference of the two guidance passes, where 20 dB is the least" in said


def test_weakened_conditioning_is_named(command: CliHere, hub: StandIn) -> None:
    hub.set_faults(Faults(weakened=(Weakened("unet", "encoder_hidden_states", 0.2),)))
    done = command(*S24, "--component", "unet", "--no-emulator")
    assert done.returncode == 15
    assert "parts from the QDQ graphs (the emulator wasn't asked) in: unet" in done.stdout
    assert "may come from: The conditioning of unet: what the prompt changes is" in done.stdout
    assert "weaker on the device" in done.stdout


@pytest.fixture
def nothing_kept(cache: Path) -> Iterator[None]:
    """What stands in the cache as a device's outputs goes before and after: here it is the stand-in's."""

    def clear() -> None:
        for manifest in (cache / "outputs").glob("*/manifest.json"):
            if json.loads(manifest.read_text())["settings"]["kind"] == "silicon":
                shutil.rmtree(manifest.parent)

    clear()
    yield
    clear()


def test_what_a_real_device_computed_is_kept(command: CliHere, hub: StandIn, nothing_kept: None) -> None:
    text_encoder = (*S24, "--component", "text_encoder", "--no-emulator")
    with patch.object(HubService, "is_stand_in", new=False):
        first = command.json(*text_encoder)
        with patch.object(HubService, "upload", side_effect=AssertionError("nothing is uploaded")):
            second = command.json(*text_encoder)
    [was], [now] = (each["devices"][0]["components"].values() for each in (first, second))
    assert (was["job"].pop("kept"), now["job"].pop("kept")) == (False, True)
    assert was == now


def test_a_job_that_fails_names_the_other_road_which_runs(command: CliHere, hub: StandIn) -> None:
    fault = JobFailure("text_encoder", 2000, "QNN graph execute error. Error code: 6001", times=1)
    hub.set_faults(Faults(failures=(fault,)))
    text_encoder = (*S24, "--component", "text_encoder", "--no-emulator")
    assert "Add --hub-form onnx: then ONNX Runtime runs the binary" in command.refused(53, *text_encoder)
    document = command.json(*text_encoder, "--hub-form", "onnx")
    assert document["devices"][0]["form"] == "onnx"
    assert document["verdict"] == "passed"
    assert hub.counts.zip_members[-1] == ("text_encoder/model.bin", "text_encoder/model.onnx")


def test_a_job_that_does_not_end_is_found_again(command: CliHere, hub: StandIn) -> None:
    hub.set_faults(Faults(stuck=(Stuck("text_encoder"),)))
    text_encoder = (*S24, "--component", "text_encoder", "--no-emulator")
    command.refused(54, *text_encoder, "--deadline", "0.003")
    command.refused(54, *text_encoder, "--deadline", "0.003")
    assert hub.counts.jobs == {"inference": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*S24, "--soc", "sm8550"), 52, "can't show what binaries for sm8550 compute"),
        ((*S24, "--bisect"), 3, "--bisect has no meaning with --hub"),
        ((*S24, "model.bin"), 3, "--hub has no meaning with model.bin"),
        ((*S24, "--prompt", "a"), 3, "--prompt has no meaning with --hub"),
        (("verify", "--no-emulator"), 3, "--no-emulator has no meaning without --hub"),
        (("verify", "--hub", "Samsung Galaxy S99"), 52, "AI Hub has no device 'Samsung Galaxy S99'"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_uploaded(
    cli_here: CliHere, hub: StandIn, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in cli_here.refused(code, *arguments)
    assert (hub.counts.models_created, hub.counts.datasets_created) == (0, 0)


def test_a_checkpoint_of_the_user_s_is_uploaded_only_where_they_say_so(cli_here: CliHere, hub: StandIn) -> None:
    own = cli_here.folder.parent / "own" / "mine"
    shutil.copytree(CHECKPOINT, own)
    with patch.object(BuildPipeline, "verify", side_effect=AssertionError("nothing is built")):
        said = cli_here.refused(55, *S24, "--checkpoint", str(own), "--model", "tiny-sd")
    assert "mine is not the demo, and nobody has allowed to upload what is made of it" in said
    assert "--allow-upload" in said
    assert (hub.counts.models_created, hub.counts.datasets_created) == (0, 0)
