"""``qnn-sd compile --via hub`` against the stand-in: the same binaries as here, once, and nothing not asked for."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT
from onnx import TensorProto, helper

from qnn_sd.ai_hub import HubService
from qnn_sd.artifact import Artifact
from qnn_sd.binaries import delivered
from qnn_sd.binaries.binary_info import BinaryGraph, BinaryInfo, BinaryTensor, read_binary
from qnn_sd.binaries.delivered import Asked, wrap_delivered
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.compile_hub import _another_release
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.narrow_operands import int16_operands
from qnn_sd.config import load_profile
from qnn_sd.errors import BinaryError
from qnn_sd.hub_stand_in import Faults, JobFailure, StandIn, Stuck, WrongModel
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.stages.hub_compile_stage import BINARY_FILE
from qnn_sd.pipeline.stages.hub_jobs import compile_options, link_options
from qnn_sd.pipeline.stages.hub_source import graph_to_send

VIA_HUB = ("compile", "--via", "hub")
NAME = "tiny-sd.text_encoder.sm8650.hub-stand-in"


class HubCli:
    """The command with an account at a stand-in."""

    def __init__(self, cli: CliHere, hub: StandIn, cache: Path) -> None:
        self.cli, self.hub, self.cache = cli, hub, cache
        self.account = {"QAIHUB_CLIENT_INI": str(hub.client_ini)}

    def json(self, *arguments: str) -> Any:
        return self.cli.json(*VIA_HUB, *arguments, environment=self.account)

    def refused(self, code: int, *arguments: str) -> str:
        return self.cli.refused(code, *VIA_HUB, *arguments, environment=self.account)

    def made(self) -> list[Path]:
        """All that a compile at AI Hub left in the cache, hidden folders included."""
        return [path for stage in ("compile", "bundle") for path in (self.cache / stage).glob("*hub*")]


@pytest.fixture
def hub(
    cli_here: CliHere, pipeline: BuildPipeline, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubCli]:
    """Of the demo the text encoder alone: compiled in half a second."""
    with pytest.MonkeyPatch.context() as patch, StandIn(tmp_path_factory.mktemp("hub"), hold_seconds=0.2) as stand_in:
        patch.setattr(BuildPipeline, "components", ("text_encoder",))
        found = HubCli(cli_here, stand_in, cache)
        yield found
    for path in [*found.made(), cache / "ai-hub"]:
        shutil.rmtree(path, ignore_errors=True)


def assert_same_binary(found: Path, expected: Path) -> None:
    """All is the same but for the graph's name, in which the compiler puts a hash of the path that the graph had."""
    (left, left_info), (right, right_info) = (_without_name(each) for each in (found, expected))
    assert left == right
    assert left_info == right_info
    assert found.stat().st_size == expected.stat().st_size


def _without_name(binary: Path) -> tuple[bytes, BinaryInfo]:
    """What lies between the places of the name, which is nearly all, and the description without it."""
    info, content = read_binary(binary), binary.read_bytes()
    [graph] = info.graphs
    between = max(content.split(graph.name.encode()), key=len).lstrip(b"\0")
    most = len(content) * 95 // 100
    assert len(between) > most
    # The hash has 17 to 20 digits. At the ends the name's length is told, and what follows it is aligned anew.
    return between[64:most], info.model_copy(update={"graphs": [graph.model_copy(update={"name": ""})]})


def compiled_here(pipeline: BuildPipeline, soc: str = "sm8650") -> Path:
    return pipeline.compile("text_encoder", load_profile(soc)).file(BINARY_FILE)


def test_the_cloud_makes_the_same_binary_and_the_same_figures(hub: HubCli, pipeline: BuildPipeline) -> None:
    document = hub.json()
    assert document["via"] == "hub"
    made = document["components"]["text_encoder"]
    binary = Path(made["context_binary"]["file"])
    assert_same_binary(binary, compiled_here(pipeline))
    here = pipeline.verify(["text_encoder"], load_profile("sm8650"))["text_encoder"]
    assert made["verification"] == here.model_dump(mode="json")
    assert made["optimization_mode"] == 3
    how = document["hub"]
    assert how["stand_in"]
    assert "not AI Hub" in how["compiled_by"]
    assert (how["hub_device"], how["qairt"], how["source"]) == ("Samsung Galaxy S24", "2.50", "qdq")
    [job] = how["jobs"]
    assert (job["component"], job["kind"]) == ("text_encoder", "compile")
    assert job["url"].startswith(hub.hub.url)
    assert hub.hub.counts.zip_members == [("text_encoder/model.data", "text_encoder/model.onnx")]
    # The bundle is as those made here, and says where it is from.
    folder = Path(document["folder"])
    assert folder.name.startswith("tiny-sd.sm8650.hub-stand-in-")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["metadata"]["hub"]["compiled_by"] == how["compiled_by"]
    [listed] = [each for each in _cached_for(hub, "sm8650") if each["folder"] == str(folder)]
    assert listed["compiled_by"] == how["compiled_by"]
    info = OpenBundle(Artifact(folder, "")).info
    assert info.components["text_encoder"].file == "text_encoder/htp/model_ctx.onnx"
    inspected = hub.cli("inspect", str(folder)).stdout
    assert f"compiled by {how['compiled_by']}, QAIRT 2.50, for Samsung Galaxy S24" in inspected
    # The same line again: all is in the cache.
    assert hub.json()["components"]["text_encoder"]["cached"]
    assert hub.hub.counts.jobs == {"compile": 1}


def _cached_for(hub: HubCli, soc: str) -> list[dict[str, Any]]:
    """What ``devices --known`` finds in the cache for a SoC."""
    socs = hub.cli.json("devices", "--known")["socs"]
    [compiled] = [each["compiled"] for each in socs if each["soc"] == soc]
    assert len(compiled) > 1
    return list(compiled)


def test_dlcs_are_linked_and_kept_beside_what_a_phone_gets(hub: HubCli, pipeline: BuildPipeline) -> None:
    document = hub.json("--format", "dlc", "--no-verify")
    assert [each["kind"] for each in document["hub"]["jobs"]] == ["compile", "link"]
    assert hub.hub.counts.jobs == {"compile": 1, "link": 1}
    folder = Path(document["folder"])
    assert sorted(path.name for path in (folder / "text_encoder" / "htp").iterdir()) == ["model_ctx.onnx", BINARY_FILE]
    assert (folder / "text_encoder" / "dlc" / "model.dlc").stat().st_size > 100_000
    assert_same_binary(folder / "text_encoder" / "htp" / BINARY_FILE, compiled_here(pipeline))


def test_a_float_graph_with_encodings_keeps_what_adaround_chose(hub: HubCli, pipeline: BuildPipeline) -> None:
    document = hub.json("--hub-source", "aimet", "--no-verify")
    members = [f"text_encoder/model.{suffix}" for suffix in ("data", "encodings", "onnx")]
    assert hub.hub.counts.zip_members == [tuple(members)]
    binary = Path(document["components"]["text_encoder"]["context_binary"]["file"])
    assert_same_binary(binary, compiled_here(pipeline))


def test_an_htp_without_int16_operands_gets_the_narrowed_graph(hub: HubCli, pipeline: BuildPipeline) -> None:
    document = hub.json("--soc", "sm8450", "--no-verify")
    made = document["components"]["text_encoder"]
    assert made["int8_operands"] == pipeline.compile("text_encoder", load_profile("sm8450")).metadata["int8_operands"]
    assert made["int8_operands"] > 0
    binary = Path(made["context_binary"]["file"])
    assert_same_binary(binary, compiled_here(pipeline, "sm8450"))
    # The stand-in's compiler would do it by itself; AI Hub's is sent what it takes.
    with graph_to_send("qdq", pipeline.quantize("text_encoder"), None, load_profile("sm8450")) as (sent, _, narrowed):
        assert (int16_operands(QdqGraph(sent)), narrowed) == ([], made["int8_operands"])


@pytest.mark.parametrize(
    ("component", "soc", "message"),
    [
        ("vae_decoder", "sm8650", "By its inputs and outputs it is a vae_decoder: "),
        ("text_encoder", "sm8550", "It is for soc_model 43, HTP v73, not for 57, v75"),
    ],
)
def test_what_was_not_asked_for_is_refused(
    component: str, soc: str, message: str, hub: HubCli, pipeline: BuildPipeline
) -> None:
    """Another network's binary, and one for another chip."""
    other = pipeline.compile(component, load_profile(soc)).file(BINARY_FILE)
    hub.hub.set_faults(Faults(wrong_models=(WrongModel("text_encoder", other),)))
    error = hub.refused(19, "--no-verify")
    assert "What the stand-in compiled as text_encoder isn't what was asked for" in error
    assert message in error
    assert f"{hub.hub.url}/jobs/" in error
    assert hub.made() == []


def test_a_release_that_ai_hub_has_not_is_refused_before_anything_is_sent(hub: HubCli) -> None:
    hub.hub.set_faults(Faults(qairt="2.49"))
    error = hub.refused(3, "--no-verify")
    assert "The stand-in has no QAIRT 2.50" in error
    assert "It has 2.49." in error
    assert "--qairt 2.49" in error
    assert (hub.hub.counts.models_created, hub.hub.counts.jobs) == (0, {})


def test_a_soc_of_which_the_account_has_no_device_is_compiled_here(hub: HubCli) -> None:
    error = hub.refused(52, "--soc", "sm7550")
    assert "The account has no device with Snapdragon 7 Gen 3 (sm7550)" in error
    assert "leave --via hub out" in error


@pytest.mark.parametrize(
    ("offered", "asked", "verify", "hint"),
    [
        (["2.50"], "2.45", True, "--qairt 2.50, or leave --qairt out"),
        (["2.42", "2.44", "2.50"], "2.45", True, "--qairt 2.44 compiles"),
        (["2.51", "2.52"], "2.45", True, "--qairt 2.51 --no-verify: for libraries of 2.51"),
        (["2.51", "2.52"], "2.45", False, "--qairt 2.51: for libraries of 2.51"),
        (["2.51"], "2.50", True, "Compile it here, which needs neither --via hub nor --qairt."),
        ([], "2.45", True, "Compile it here"),
    ],
)
def test_the_hint_names_a_release_that_there_is(offered: list[str], asked: str, verify: bool, hint: str) -> None:
    assert _another_release(offered, asked, verify).startswith(hint)


def test_a_binary_of_another_release_than_asked_for_is_refused(hub: HubCli) -> None:
    """The stand-in says that it has 2.49, and compiles with 2.50."""
    hub.hub.set_faults(Faults(qairt="2.49"))
    assert "QAIRT 2.50 compiled it, not 2.49" in hub.refused(19, "--qairt", "2.49", "--no-verify")
    assert hub.made() == []


def test_ctrl_c_after_the_submission_costs_no_second_job(hub: HubCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HubService, "wait", interrupted)
        assert "a job at AI Hub" in hub.refused(130, "--no-verify")
    assert hub.hub.counts.jobs == {"compile": 1}
    assert hub.json("--no-verify")["via"] == "hub"
    assert (hub.hub.counts.jobs, hub.hub.counts.models_created) == ({"compile": 1}, 1)


def test_a_job_that_does_not_end_is_waited_for_again(hub: HubCli) -> None:
    hub.hub.set_faults(Faults(stuck=(Stuck("compile"),)))
    for _attempt in range(2):
        assert "qnn-sd hub resume" in hub.refused(54, "--no-verify", "--deadline", "0.005")
    assert (hub.hub.counts.jobs, hub.hub.counts.models_created) == ({"compile": 1}, 1)


def test_a_download_that_breaks_off_leaves_nothing(hub: HubCli, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.hub.set_faults(Faults(dropped_downloads=100))
    with monkeypatch.context() as patch:
        # The client pauses between its attempts.
        patch.setattr(time, "sleep", lambda _seconds: None)
        hub.refused(51, "--no-verify")
    assert hub.made() == []
    hub.hub.set_faults(Faults())
    assert hub.json("--no-verify")["components"]["text_encoder"]["bytes"] > 0
    assert hub.hub.counts.jobs == {"compile": 1}


def test_a_failed_job_says_why_and_shows_its_log(hub: HubCli) -> None:
    said = "validateNativeOps MatMul:qti.aisw: BQ is not supported"
    hub.hub.set_faults(Faults(failures=(JobFailure("compile", 3050, said),)))
    error = hub.refused(53, "--no-verify")
    assert "failure type 3050" in error
    assert said in error
    assert "block quantization" in error
    assert hub.made() == []


def test_a_checkpoint_of_ones_own_needs_leave(hub: HubCli) -> None:
    shutil.copytree(CHECKPOINT, hub.cli.folder / "own")
    own = ("--model", "tiny-sd", "--checkpoint", "own", "--no-verify")
    error = hub.refused(55, *own)
    assert "own's QDQ graphs (text_encoder) would go to a stand-in for AI Hub on this machine (127.0.0.1:" in error
    assert (hub.hub.counts.models_created, hub.hub.counts.jobs) == (0, {})
    hub.hub.set_faults(Faults(failures=(JobFailure("compile", 2004),)))
    assert "failure type 2004" in hub.refused(53, *own, "--allow-upload")
    assert hub.hub.counts.jobs == {"compile": 1}


def test_a_dry_run_says_what_would_be_sent(hub: HubCli, pipeline: BuildPipeline) -> None:
    document = hub.json("--dry-run")
    qdq = pipeline.quantize("text_encoder").folder
    sizes = sum((qdq / name).stat().st_size for name in ("model.onnx", "weights.bin"))
    assert document["uploads"] == [{"component": "text_encoder", "bytes": sizes}]
    [compile_stage] = [each for each in document["stages"] if each["stage"] == "compile"]
    assert (compile_stage["subject"], compile_stage["cached"]) == ("sm8650.hub-stand-in", False)
    assert (hub.hub.counts.models_created, hub.hub.counts.jobs) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--soc", "sm8550,sm8650"), "AI Hub compiles for one SoC"),
        (("--soc", "sm8550", "--soc", "sm8650", "--multi-soc"), "AI Hub compiles for one SoC"),
        (("--size", "128", "--size", "192x128"), "AI Hub compiles one size"),
        (("--qairt", "new"), "'new' is no release of QAIRT"),
        (("--qairt", "2.99"), "What QAIRT 2.99 compiles can't be verified here"),
        (("--qairt", "2.40", "--soc", "sm8850"), "QAIRT 2.40 doesn't know Snapdragon 8 Elite Gen 5"),
        (("--hub-source", "aimet", "--soc", "sm8450"), "--hub-source aimet can't be compiled for sm8450"),
    ],
)
def test_what_ai_hub_cannot_do_is_refused_without_an_account(
    arguments: tuple[str, ...], message: str, cli_here: CliHere, tmp_path: Path
) -> None:
    nobody = {"QAIHUB_CLIENT_INI": str(tmp_path / "none.ini")}
    assert message in cli_here.refused(3, *VIA_HUB, *arguments, environment=nobody)


@pytest.mark.parametrize(
    "option", [("--qairt", "2.49"), ("--hub-source", "aimet"), ("--deadline", "5"), ("--allow-upload",)]
)
def test_options_of_ai_hub_need_it(option: tuple[str, ...], cli_here: CliHere) -> None:
    assert f"{option[0]} has no meaning without --via hub" in cli_here.refused(3, "compile", *option)


def graph_of(dtype: int = TensorProto.FLOAT, dims: tuple[int, ...] = (1, 4, 16, 16)) -> onnx.GraphProto:
    values = [helper.make_tensor_value_info(name, dtype, dims) for name in ("latent", "image")]
    return helper.make_graph([], "g", values[:1], values[1:])


def binary_of(name: str = "latent", dtype: str = "float32", dims: tuple[int, ...] = (1, 4, 16, 16)) -> BinaryInfo:
    tensors = [
        BinaryTensor(name=each, dtype=dtype, dims=list(dims), encoding=None, layout=None, version=2)
        for each in (name, "image")
    ]
    graph = BinaryGraph(
        name="g",
        inputs=tensors[:1],
        outputs=tensors[1:],
        updateable=0,
        vtcm_bytes=None,
        spill_fill_bytes=None,
        optimization_level=None,
        version=3,
    )
    return BinaryInfo(
        backend=6,
        build_id="v2.50.40.260831",
        soc_model=57,
        htp_arch=75,
        core_api="",
        backend_api="",
        context_version="",
        graphs=[graph],
        version=3,
    )


def asked(graph: onnx.GraphProto) -> Asked:
    return Asked("vae_decoder", graph, 57, 75, "2.50", "AI Hub", "Report it.")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (binary_of(name="input_0"), "Its inputs are input_0, and the graph's latent"),
        (
            binary_of(dims=(1, 16, 16, 4)),
            "The input latent is 1x16x16x4, and the graph's 1x4x16x16: its channels are last",
        ),
        (binary_of(dtype="ufixed16"), "The input latent is ufixed16, and the graph's float32: its ends are quantized"),
        (binary_of().model_copy(update={"backend": 4}), "It is for QNN's backend 4, and the HTP is 6"),
        (binary_of().model_copy(update={"graphs": binary_of().graphs * 2}), "It holds 2 graphs, and one was sent"),
        (binary_of().model_copy(update={"build_id": "v2.5.0.1"}), "QAIRT 2.5 compiled it, not 2.50"),
    ],
)
def test_other_ends_are_named(found: BinaryInfo, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered, "read_binary", lambda _path: found)
    with pytest.raises(BinaryError) as caught:
        wrap_delivered(tmp_path / "b.bin", tmp_path / "c.onnx", asked(graph_of()))
    assert message in caught.value.why
    assert list(tmp_path.iterdir()) == []


def test_a_wrapper_names_the_release_that_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered, "read_binary", lambda _path: binary_of())
    wrap_delivered(tmp_path / "b.bin", tmp_path / "c.onnx", asked(graph_of()))
    [node] = onnx.load(str(tmp_path / "c.onnx"), load_external_data=False).graph.node
    found = {each.name: each.s for each in node.attribute}
    assert (found["ep_cache_context"], found["ep_sdk_version"]) == (b"b.bin", b"v2.50.40.260831")


def test_options_are_those_of_the_local_compiler() -> None:
    graph, small = graph_of(TensorProto.INT64), load_profile("qcs6490")
    assert compile_options("unet", graph, load_profile("sm8650"), "2.50", "qnn_context_binary") == (
        "--target_runtime qnn_context_binary --qairt_version 2.50 --output_names image --truncate_64bit_io "
        "--qnn_options context_enable_graphs=unet;default_graph_htp_optimizations=O=3"
    )
    assert compile_options("unet", graph_of(), small, "2.50", "qnn_dlc") == (
        "--target_runtime qnn_dlc --qairt_version 2.50 --output_names image --qnn_options context_enable_graphs=unet"
    )
    assert link_options(small, "2.50") == (
        "--qairt_version 2.50 --qnn_options default_graph_htp_optimizations=O=3;default_graph_htp_vtcm_size=2"
    )
