"""``qnn-sd profile --hub`` and ``qnn-sd hub`` as they are typed, against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cli_here import CliHere
from conftest import json_document

from qnn_sd.ai_hub import CloudDevice, HubJob, HubProfile, HubService, JobState, binaries_for, qairt_to_ask_for
from qnn_sd.ai_hub.journal import JobEntry, Journal
from qnn_sd.artifact import sha256_of_file
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.documents import HubProfileDocument
from qnn_sd.cli.profile_document import ProfiledJob, image_seconds, profile_document
from qnn_sd.cli.profile_estimates import KeptEstimate
from qnn_sd.cli.profile_facts import ProfileFacts, facts_from
from qnn_sd.cli.profile_plot import svg
from qnn_sd.cli.profile_report import show
from qnn_sd.cli.profile_results import keep, measured_binaries
from qnn_sd.cli.upload_consent import Upload, require_consent
from qnn_sd.cli.value_types import type_of
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError, HubServiceError, UploadNotAllowedError
from qnn_sd.export.checkpoint import CheckpointIdentity
from qnn_sd.hub_stand_in import Faults, JobFailure, StandIn, Stuck
from qnn_sd.image_metadata import ImageLora, ImageSource
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

DEVICE = "Samsung Galaxy S24"
FACTS = ProfileFacts("b-1", "sd15", 512, 512, 20, 2, DEVICE, "15", False, "sm8650", "", "2.50")


@pytest.fixture
def bundle(pipeline: BuildPipeline) -> OpenBundle:
    """The demo's, which the session's other tests have too."""
    return pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)


@pytest.fixture
def here(cli_here: CliHere, hub: StandIn, bundle: OpenBundle, cache: Path) -> Iterator[CliHere]:
    """The command with the demo built; what a test keeps beside it goes with it."""
    import shutil

    shutil.rmtree(cache / "ai-hub", ignore_errors=True)
    yield cli_here
    token = hub.client_ini.read_text("utf-8").partition("api_token = ")[2].split()[0]
    for path in (cache / "ai-hub").rglob("*.json"):
        assert token not in path.read_text("utf-8")
    shutil.rmtree(cache / "ai-hub", ignore_errors=True)


def test_the_demo_is_measured_once_kept_and_taken_up(
    here: CliHere, hub: StandIn, cache: Path, pipeline: BuildPipeline
) -> None:
    # Broken off: two jobs don't end, and one fails.
    hub.set_faults(Faults(stuck=(Stuck("unet"),), failures=(JobFailure("vae_decoder", 12001),)))
    broken = here("profile", "--hub", "8 gen 3", "--deadline", "0.01", "--json")
    assert broken.returncode == 53
    document = json_document(broken.stdout)
    assert {each["component"]: each["state"] for each in document["devices"][0]["components"]} == {
        "text_encoder": "done",
        "unet": "waiting for a device",
        "vae_decoder": "failed",
    }
    assert document["error"]["name"] == "HubJobError"
    assert (hub.counts.models_created, hub.counts.jobs) == (3, {"profile": 3})

    hub.set_faults(Faults())
    resumed = here("hub", "resume", "--json")
    assert resumed.returncode == 53  # the failed one is told again: an image needs it
    taken = json_document(resumed.stdout)
    assert [each["label"] for each in taken["jobs"]] == ["tiny-sd unet"]
    assert taken["profiles"][0]["devices"][0]["components"][1]["measured"]["median_ms"] > 0

    told = here("profile", "--hub", DEVICE, "--plot", "times.svg")
    assert told.returncode == 0, told.stderr
    assert (hub.counts.models_created, hub.counts.jobs) == (3, {"profile": 4})  # the failed one again
    assert "A stand-in answered, not AI Hub: no device was used" in told.stdout
    assert "Computed, not measured: 2 x text encoder + 20 x 2 x UNet + VAE decoder" in told.stdout
    assert f"unet: {hub.url}/jobs/" in told.stdout
    assert (
        f"at a stand-in for AI Hub on this machine ({hub.url.partition('//')[2]}), with the account of " in told.stderr
    )
    assert "tiny-sd's context binaries (text_encoder, unet, vae_decoder); only what isn't there yet" in told.stderr
    assert "the slowest layers: left out" in told.stdout
    planned = here("profile", "--hub", DEVICE, "--dry-run").stdout
    assert "To the stand-in, where it isn't there already: text_encoder <1 MB, unet " in planned
    assert f"Then 3 profile jobs there, where they haven't run already, on {DEVICE}." in planned
    assert "published" not in told.stdout  # those are Stable Diffusion 1.5's
    assert ElementTree.parse(here.folder / "times.svg").getroot().tag.endswith("svg")
    [kept] = (cache / "ai-hub" / "measured").rglob("*.json")
    assert kept.name == "samsung-galaxy-s24-15-stand-in.json"
    assert json_document(kept.read_text("utf-8"))["devices"][0]["image_seconds"] > 0

    # What a stand-in made up is no fact of a SoC; what a device measured is.
    assert "measured at AI Hub" not in here("devices", "--known").stdout
    document = json_document(kept.read_text("utf-8"))
    keep(HubProfileDocument.model_validate({**document, "stand_in": False, "note": None}), cache)
    [line] = [each for each in here("devices", "--known").stdout.splitlines() if "measured at AI Hub" in each]
    assert line.startswith("sm8650, tiny-sd 128x128 measured at AI Hub: ")
    assert f"an image (computed), {DEVICE}, " in line
    folders = {name: pipeline.compile(name, load_profile("sm8650")).folder for name in TEXT_TO_IMAGE_COMPONENTS}
    binaries = {name: sha256_of_file(next(folder.glob("*.bin"))) for name, folder in folders.items()}
    reported = measured_binaries(cache, binaries)
    assert {each.stand_in for each in reported} == {True, False}
    for each in reported:
        assert (each.name, set(each.components)) == (DEVICE, set(TEXT_TO_IMAGE_COMPONENTS))
    assert measured_binaries(cache, {"unet": "another"}) == []
    known = json_document(here("devices", "--known", "--json").stdout)
    assert [made["measured"][0]["name"] for soc in known["socs"] for made in soc["compiled"] if made["measured"]] == [
        DEVICE
    ]

    jobs = json_document(here("hub", "jobs", "--json").stdout)
    assert [(each["state"], each["failure_type"]) for each in jobs["jobs"]] == [("done", None)] * 3
    assert jobs["stand_in"]
    assert "No job is left" in here("hub", "resume").stdout
    unknown = here("hub", "resume", "jnone")
    assert (unknown.returncode, "No job 'jnone' was submitted" in unknown.stderr) == (3, True)


def test_a_device_that_is_refused_loses_nothing_of_the_others(here: CliHere, hub: StandIn) -> None:
    hub.set_faults(Faults(retired=("Samsung Galaxy S24 Ultra",), stuck=(Stuck(""),)))
    both = ("--hub", "Samsung Galaxy S24 Ultra", "--hub", DEVICE, "--component", "unet", "--deadline", "0.001")
    told = here("profile", *both, "--json")
    assert told.returncode == 54
    assert "the device is gone" in told.stderr
    [device] = json_document(told.stdout)["devices"]
    assert (device["name"], device["components"][0]["state"]) == (DEVICE, "waiting for a device")
    assert here("profile", *both[:2], "--component", "unet").returncode == 52


def test_what_is_refused_before_anything_is_sent(here: CliHere, hub: StandIn, tmp_path: Path) -> None:
    assert here("profile").returncode == 2
    for command in ("jobs", "resume"):
        assert "Nothing was submitted yet." in here("hub", command).stdout
    assert here("profile", "--hub", "all", "--hub", DEVICE).returncode == 3
    gone = here("profile", "--hub", "Samsung Galaxy S24 Ultre")
    assert (gone.returncode, "Nearest: Samsung Galaxy S24 Ultra" in gone.stderr) == (52, True)
    hub.set_faults(Faults(qairt="2.49"))
    older = here("profile", "--hub", DEVICE)
    assert (older.returncode, "It has 2.49" in older.stderr) == (51, True)
    hub.set_faults(Faults(wrong_token=True))
    wrong = here("profile", "--hub", DEVICE, "--debug")
    token = hub.client_ini.read_text("utf-8").partition("api_token = ")[2].split()[0]
    assert (wrong.returncode, "Traceback" in wrong.stderr, token in wrong.stderr) == (50, True, False)
    none = here("hub", "jobs", environment={"QAIHUB_CLIENT_INI": str(tmp_path / "none.ini")})
    assert (none.returncode, "doesn't exist" in none.stderr) == (50, True)
    assert hub.counts.models_created == 0


def test_the_accounts_devices(here: CliHere) -> None:
    document = json_document(here("hub", "devices", "--json").stdout)
    found = {each["name"]: each for each in document["devices"]}
    assert (found[DEVICE]["soc"], found[DEVICE]["own"], found[DEVICE]["htp_arch"]) == ("sm8650", True, 75)
    assert found["QCS8550 (Proxy)"]["proxy"]
    assert document["stand_in"]
    told = here("hub", "devices").stdout
    assert "14, 15" in told
    assert "no device was used" in told


# Consent.


def identity(kind: Any, *, vae: Any = "checkpoint", loras: tuple[ImageLora, ...] = ()) -> CheckpointIdentity:
    name = "somebody/model" if kind == "hub" else "mine.safetensors"
    source = ImageSource(name=name, kind=kind, sha256="ab" * 32)
    return CheckpointIdentity(source, ImageSource(name="vae", kind=vae, sha256="cd" * 32), loras, ())


class Account:
    """As much of an account as consent needs."""

    is_stand_in = False

    def __init__(self, folder: Path) -> None:
        self.journal, self.host, self.account_file = Journal(folder, "a"), "hub.example", folder / "client.ini"


LORA = ImageLora(name="mine.safetensors", sha256="ef" * 32, tensors_sha256="ef" * 32, scale=1.0)


@pytest.mark.parametrize(
    ("of", "needed"),
    [
        (identity("kit"), False),
        (identity("file"), True),
        (identity("hub"), True),
        (identity("kit", vae="file"), True),
        (identity("kit", loras=(LORA,)), True),
    ],
)
def test_only_what_is_the_users_needs_consent_and_once(
    tmp_path: Path, of: CheckpointIdentity, needed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    account: Any = Account(tmp_path)
    upload = Upload(of, "context binaries", ("unet",))
    if needed:
        with pytest.raises(UploadNotAllowedError, match="nobody has allowed") as raised:
            require_consent(account, upload, False, Console())
        assert "Add --allow-upload" in raised.value.hint
        assert "context binaries (unet) would go to Qualcomm AI Hub (hub.example)" in raised.value.why
        require_consent(account, upload, True, Console())
    require_consent(account, upload, False, Console())
    assert "at Qualcomm AI Hub (hub.example), with the account of" in capsys.readouterr().err
    another = LORA.model_copy(update={"sha256": "12" * 32})
    other = Upload(identity("file", loras=(another,)), "context binaries", ("unet",))
    with pytest.raises(UploadNotAllowedError):
        require_consent(account, other, False, Console())


def test_the_answer_on_a_terminal_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account: Any = Account(tmp_path)
    asked: list[str] = []
    answers = iter([False, True])

    def ask(_console: Console, question: str) -> bool:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr(Console, "can_ask", True)
    monkeypatch.setattr(Console, "ask", ask)
    upload = Upload(identity("file"), "context binaries", ("unet",))
    with pytest.raises(UploadNotAllowedError):
        require_consent(account, upload, False, Console())
    for _ in range(2):
        require_consent(account, upload, False, Console())
    assert len(asked) == 2
    assert "would go to Qualcomm AI Hub (hub.example), with your account" in asked[0]


# Which binaries, which QAIRT.


def test_a_device_gets_its_own_binaries_or_what_loads_there() -> None:
    own = binaries_for(CloudDevice("X", "1", ("chipset:qualcomm-snapdragon-8gen3", "framework:qnn")))
    assert (own.profile.soc, own.remark) == ("sm8650", "")
    for attributes in (("chipset:qualcomm-sm8845",), ("chipset:new", "soc-model:97", "hexagon:v81")):
        found = binaries_for(CloudDevice("X", "1", (*attributes, "framework:qnn")))
        assert found.profile.htp_arch <= 81
        assert found.remark.startswith("SM8845, Snapdragon 8 Gen 5 has no profile of its own")
    # Number and HTP are of two chips: neither counts.
    with pytest.raises(HubDeviceError):
        binaries_for(CloudDevice("X", "1", ("chipset:new", "soc-model:97", "hexagon:v75", "framework:qnn")))


def test_a_device_that_loads_nothing_is_refused() -> None:
    with pytest.raises(HubDeviceError, match="doesn't run context binaries"):
        binaries_for(CloudDevice("X", "1", ("chipset:qualcomm-snapdragon-8gen3",)))
    with pytest.raises(HubDeviceError, match="no binaries for X") as raised:
        binaries_for(CloudDevice("X", "1", ("chipset:google-tensor-g4", "framework:qnn", "soc-model:57")))
    assert "google-tensor-g4" in raised.value.why


@pytest.mark.parametrize(
    ("offered", "compiled", "asked"),
    [(["2.49", "2.50", "2.51"], "2.50.0", "2.50"), (["2.49", "2.52"], "2.50.40.1", "2.52"), ([], "2.50.0", "")],
)
def test_the_qairt_that_jobs_ask_for(offered: list[str], compiled: str, asked: str) -> None:
    class Service:
        def qairt_versions(self) -> list[str]:
            return offered

    service: Any = Service()
    assert qairt_to_ask_for(service, compiled) == asked


def test_an_absent_qairt_is_refused_with_those_that_there_are() -> None:
    class Service:
        def qairt_versions(self) -> list[str]:
            return ["2.45", "2.49"]

    service: Any = Service()
    with pytest.raises(HubServiceError, match=r"no QAIRT that loads binaries of 2\.50\.0") as raised:
        qairt_to_ask_for(service, "2.50.0")
    assert "2.45, 2.49" in raised.value.why


# The document, without jobs.


def profiled(ms: float, component: str, state: int = 10, estimate: float | None = None) -> ProfiledJob:
    profile = HubProfile(ms, (ms * 3, ms, ms * 2), 10.0, None, 5_000_000, ())
    job = HubJob(f"j{component}", "profile", component, DEVICE, f"http://hub/jobs/j{component}/", "k")
    kept = None if estimate is None else KeptEstimate(ms=estimate, label="scaled")
    return ProfiledJob(job, "ab" * 32, JobState(state), profile if state == 10 else None, kept)


JOBS = {
    "text_encoder": profiled(1.0, "text_encoder", estimate=2.5),
    "unet": profiled(70.0, "unet"),
    "vae_decoder": profiled(150.0, "vae_decoder"),
}


def test_an_image_is_the_sum_of_its_calls() -> None:
    profiles = {name: each.profile for name, each in JOBS.items()}
    # Medians are twice the best: 2 x 2 + 20 x 2 x 140 + 300 ms.
    assert image_seconds(FACTS, profiles) == pytest.approx((2 * 2 + 20 * 2 * 140 + 300) / 1000)
    assert image_seconds(FACTS, {**profiles, "unet": None}) is None


def test_figures_are_beside_the_estimate_and_the_published_ones_with_their_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = profile_document([(FACTS, JOBS)], False, None)
    show(Console(), document)
    told = capsys.readouterr().out
    assert "stand-in" not in told
    [row] = [line.split() for line in told.splitlines() if line.startswith("unet ")]
    assert row == ["unet", "140.00", "70.00", "10", "5", "-", "-", "76.20"]
    assert "published: Qualcomm on Galaxy S24" in told
    assert "estimate: scaled" in told
    assert "an image: 5.90 s. Computed, not measured" in told
    assert "http://hub/jobs/junet/" in told
    drawn = svg(document)
    assert drawn.count('class="time"') == 3
    assert drawn.count('class="stored"') == 3
    assert drawn.count('class="traffic"') == 1
    ElementTree.fromstring(drawn)


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = {**JOBS, "unet": profiled(1.0, "unet", state=60)}
    document = profile_document([(FACTS, jobs)], True, None)
    show(Console(), document)
    told = capsys.readouterr().out
    assert told.startswith("A stand-in answered, not AI Hub")
    assert "unet: http://hub/jobs/junet/ (waiting for a device)" in told
    assert told.count("waiting for a device") == 1
    assert "an image" not in told


def test_the_journal_says_what_a_job_was_for() -> None:
    known: dict[str, Any] = {"key": "k", "name": "n", "kind": "profile", "label": "unet", "device": DEVICE, "id": "j"}
    entry = JobEntry(**known, at=1.0, purpose=FACTS.purpose("unet", "ab"))
    assert facts_from(JobEntry.model_validate(json.loads(entry.model_dump_json()))) == (FACTS, "unet", "ab")
    assert facts_from(entry.model_copy(update={"purpose": {}})) is None
    assert facts_from(entry.model_copy(update={"purpose": {"command": "profile"}})) is None


def test_device_names_are_completed() -> None:
    offered = type_of(["--hub"], None).shell_complete(None, None, "samsung galaxy s24 u")  # type: ignore[union-attr]
    assert [(each.value, each.help) for each in offered] == [("Samsung Galaxy S24 Ultra", "Snapdragon 8 Gen 3")]


def test_a_service_is_opened_as_the_commands_do(hub: StandIn, tmp_path: Path) -> None:
    assert HubService.open(tmp_path, Console()).host in hub.url
