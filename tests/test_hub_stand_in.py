"""The stand-in for AI Hub's jobs, as AI Hub's own client sees them: what they give, and how they fail."""

from __future__ import annotations

import filecmp
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import qai_hub
from ai_hub_helpers import DEVICE, as_dataset, client_of, upload_bytes, upload_folder
from graphs import quantized, small_graph
from onnx import TensorProto, helper
from qai_hub import public_api_pb2 as api
from qai_hub.client import Client, CompileJob, Job, Model

from qnn_sd import qnn_provider
from qnn_sd.compile import CONTEXT_FILE, compile_component
from qnn_sd.config import load_profile
from qnn_sd.hub_stand_in import (
    STAND_IN_ATTRIBUTE,
    Faults,
    JobFailure,
    Noise,
    Slow,
    StandIn,
    Stuck,
    Weakened,
    WrongModel,
)
from qnn_sd.metrics import sqnr_db
from qnn_sd.quantize import quantize_component
from qnn_sd.reference import outputs_of

PROFILE = load_profile("sm8650")
OTHER_HTP = qai_hub.Device("Samsung Galaxy S23")


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)}


@pytest.fixture(scope="module")
def qdq(feeds: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized(small_graph, feeds, tmp_path_factory.mktemp("small"))


def compiled(qdq: Path, folder: Path) -> Path:
    """The local compiler's folder."""
    folder.mkdir()
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, PROFILE.optimization_mode, folder)
    return folder


@pytest.fixture(scope="module")
def here(qdq: Path) -> Path:
    return compiled(qdq, qdq.parent / "compiled")


@pytest.fixture(scope="module")
def binary(here: Path) -> Path:
    return next(here.glob("*.bin"))


@pytest.fixture(scope="module")
def expected(here: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What the emulator answers."""
    session = qnn_provider.session(here / CONTEXT_FILE, qnn_provider.htp_options(PROFILE.soc_model, PROFILE.htp_arch))
    return np.asarray(outputs_of(session, feeds)["y"])


@pytest.fixture
def client(hub: StandIn) -> Client:
    return client_of(hub)


def failure(client: Client, job: Job) -> tuple[int, str]:
    """Type and reason of a job that failed."""
    assert job.wait().failure
    found = qai_hub.public_rest_api.get_job(client.config, job.job_id)
    return found.failure_type, job.get_status().message or ""


def log_of(job: Job, folder: Path) -> str:
    [path] = job.download_job_logs(str(folder))
    return Path(path).read_text("utf-8")


def submit_compile(client: Client, model: Model | str, options: str = "", **given: Any) -> CompileJob:
    job = client.submit_compile_job(model, DEVICE, name="compile unet", options=options, retry=False, **given)
    assert isinstance(job, CompileJob)
    return job


# What jobs give


def test_a_model_is_compiled_and_run_as_it_is_here(
    hub: StandIn, client: Client, qdq: Path, feeds: dict[str, np.ndarray], expected: np.ndarray, tmp_path: Path
) -> None:
    model = client.upload_model(str(upload_folder(qdq, "unet", tmp_path)), name="unet")
    job = submit_compile(client, model, "--qairt_version 2.50", input_specs={"x": ((1, 3, 6, 6), "float32")})
    assert job.wait().success
    made = Path(job.download_target_model(str(tmp_path / "unet.bin")) or "")
    # The graph's name in a binary has a hash of the path that it was compiled from: so from the same path.
    source = tmp_path / "hub" / "work" / job.job_id / "source"
    shutil.copytree(qdq, source)
    assert filecmp.cmp(next(compiled(source, tmp_path / "again").glob("*.bin")), made, shallow=False)
    target = job.get_target_model()
    assert target.metadata[qai_hub.ModelMetadataKey.QNN_CONTEXT_BIN_HEXAGON_VERSION] == "v75"
    assert job.get_target_shapes() == {"x": ((1, 3, 6, 6), "float32")}

    inputs = {"x": [feeds["x"], feeds["x"] / 2]}
    run = client.submit_inference_job(target, DEVICE, name="run unet", inputs=inputs, profile=True)
    outputs = run.download_output_data()
    assert len(outputs["y"]) == 2
    np.testing.assert_array_equal(outputs["y"][0], expected)
    layers = run.download_profile()["execution_detail"]
    assert [each["name"] for each in layers if each["name"] in ("first", "relu", "second")] == [
        "first",
        "relu",
        "second",
    ]
    assert hub.counts.jobs == {"compile": 1, "inference": 1}
    assert hub.counts.zip_members == [("unet.onnx/model.onnx",)]


def test_a_profile_has_times_by_a_rule_and_says_so(client: Client, binary: Path, tmp_path: Path) -> None:
    job = client.submit_inference_job(str(binary), DEVICE, name="profile unet", profile=True)
    profile = job.download_profile()
    summary, layers = profile["execution_summary"], profile["execution_detail"]
    assert summary["estimated_inference_time"] == min(summary["all_inference_times"]) > 0
    assert summary["first_load_time"] > summary["warm_load_time"] > summary["estimated_inference_time"]
    assert summary["inference_memory_peak_range"][1] > summary["inference_memory_peak_range"][0] > 0
    assert STAND_IN_ATTRIBUTE in layers[0]["name"]
    assert {each["compute_unit"] for each in layers} == {"NPU"}
    assert {"first", "relu", "second"} <= {each["name"] for each in layers}, "the binary's own names"
    assert sum(each.get("execution_time", 0) for each in layers) <= summary["estimated_inference_time"]
    assert "no device was used" in log_of(job, tmp_path)
    assert job.download_output_data() is None
    assert {each.name for each in client.get_job_summaries(type=qai_hub.JobType.INFERENCE)} == {"profile unet"}


def test_a_zipped_epcontext_model_runs(
    client: Client, binary: Path, feeds: dict[str, np.ndarray], expected: np.ndarray, tmp_path: Path
) -> None:
    job = client.submit_compile_job(str(binary), DEVICE, name="wrap")
    assert job.wait().success
    path = job.download_target_model(str(tmp_path / "unet"))
    with zipfile.ZipFile(path) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".onnx", ".bin"}
    run = client.submit_inference_job(job.get_target_model(), DEVICE, name="run", inputs=as_dataset(feeds))
    np.testing.assert_array_equal(run.download_output_data()["y"][0], expected)


def test_a_float_graph_is_quantized_by_its_encodings(client: Client, qdq: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unet.aimet"
    folder.mkdir()
    floats = qdq.parent / "float"
    onnx.save(onnx.load(floats / "model.onnx"), folder / "unet.onnx")
    shutil.copy(qdq / "encodings.json", folder / "unet.encodings")
    job = submit_compile(client, str(folder))
    assert job.wait().success, log_of(job, tmp_path)
    made = Path(job.download_target_model(str(tmp_path / "unet.bin")) or "")
    source = tmp_path / "hub" / "work" / job.job_id / "quantized"
    source.mkdir(parents=True)
    quantize_component(floats, (), source, encodings=folder / "unet.encodings")
    assert filecmp.cmp(next(compiled(source, tmp_path / "again").glob("*.bin")), made, shallow=False)


def test_dlcs_are_linked_as_if(client: Client, qdq: Path, tmp_path: Path) -> None:
    """There is no linker: what they were made of is compiled together, which the log says."""
    model = client.upload_model(str(upload_folder(qdq, "unet", tmp_path)), name="unet")
    jobs = [submit_compile(client, model, "--target_runtime qnn_dlc") for _ in range(2)]
    dlcs = [each.get_target_model() for each in jobs]
    linked = client.submit_link_job(dlcs, DEVICE, name="link")
    assert linked.wait().success
    assert "simulated" in log_of(linked, tmp_path)
    names = linked.get_target_model().metadata[qai_hub.ModelMetadataKey.QNN_CONTEXT_BIN_GRAPH_NAMES]
    assert len(names.split(",")) == 2
    strange = jobs[0].download_target_model(str(tmp_path / "strange.dlc"))
    refused = client.submit_link_job(strange, DEVICE, name="link")
    assert failure(client, refused)[0] == api.JOB_FAILURE_TYPE_UNSUPPORTED


def test_64_bit_inputs_need_the_option(client: Client, tmp_path: Path) -> None:
    table = np.random.default_rng(1).standard_normal((16, 8)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        "tokens",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 8))],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    path = tmp_path / "text_encoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    kind, reason = failure(client, submit_compile(client, str(path)))
    assert kind == api.JOB_FAILURE_TYPE_INVALID_ARGUMENT
    assert "Must use --truncate_64bit_io" in reason
    job = submit_compile(client, str(path), "--truncate_64bit_io")
    assert job.get_target_shapes() == {"ids": ((1, 4), "int32")}
    ids = np.array([[3, 1, 15, 0]])
    run = client.submit_inference_job(job.get_target_model(), DEVICE, inputs={"ids": [ids.astype(np.int32)]})
    assert sqnr_db(table[ids], run.download_output_data()["y"][0]) > 40
    wide = client.submit_inference_job(job.get_target_model(), DEVICE, inputs={"ids": [ids]})
    assert failure(client, wide)[0] == api.JOB_FAILURE_TYPE_INVALID_INPUTS


# How they fail


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--qairt_version 2.51", "2.51 is not available"),
        ("--quantize_io", "doesn't do what --quantize_io"),
        ("--compute_unit gpu", "no compute unit"),
        ("--target_runtime tflite", "the runtime tflite"),
        ("--output_names other", "keeps the outputs' names, y"),
    ],
)
def test_an_option_that_it_cannot_act_on_fails_the_job(
    client: Client, qdq: Path, tmp_path: Path, options: str, text: str
) -> None:
    job = submit_compile(client, str(upload_folder(qdq, "unet", tmp_path)), options)
    assert text in failure(client, job)[1]


def test_an_unknown_option_is_refused_at_once(hub: StandIn, client: Client, qdq: Path, tmp_path: Path) -> None:
    with pytest.raises(qai_hub.UserError, match="--no_such"):
        submit_compile(client, str(upload_folder(qdq, "unet", tmp_path)), "--no_such 1")
    assert not hub.counts.jobs


def test_a_binary_for_another_chip_or_of_a_newer_qairt_fails(hub: StandIn, client: Client, binary: Path) -> None:
    model = client.upload_model(str(binary))
    job = client.submit_inference_job(model, OTHER_HTP, profile=True)
    assert failure(client, job)[0] == api.JOB_FAILURE_TYPE_DSP_VERSION_MISMATCH
    hub.set_faults(Faults(qairt="2.49"))
    assert client.get_frameworks()[0].api_version == "2.49"
    job = client.submit_inference_job(model, DEVICE, profile=True)
    assert failure(client, job)[0] == api.JOB_FAILURE_TYPE_QNN_VERSION_MISMATCH


@pytest.mark.parametrize("wrong", ["name", "shape", "type"])
def test_inputs_that_do_not_fit_fail(client: Client, binary: Path, feeds: dict[str, np.ndarray], wrong: str) -> None:
    x = feeds["x"]
    inputs = {"name": {"sample": [x]}, "shape": {"x": [x[:, :2]]}, "type": {"x": [x.astype(np.int32)]}}[wrong]
    kind, reason = failure(client, client.submit_inference_job(str(binary), DEVICE, inputs=inputs, profile=False))
    assert kind == api.JOB_FAILURE_TYPE_INVALID_INPUTS
    assert "x" in reason


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(archive("m.onnx/../../../../escaped"), id="leads out"),
        pytest.param(archive("/tmp/m/escaped.onnx"), id="absolute"),
        pytest.param(archive("m/a.onnx", "n/b.onnx"), id="two folders"),
        pytest.param(archive("m/a.onnx", "m/README.md"), id="another file"),
        pytest.param(archive("m/a.onnx"), id="no model"),
        pytest.param(archive("m/a.onnx")[:-30], id="cut off"),
        pytest.param(b"", id="empty"),
    ],
)
def test_an_archive_that_is_no_model_fails_and_leaves_nothing(
    hub: StandIn, client: Client, tmp_path: Path, content: bytes
) -> None:
    model = upload_bytes(hub, content, tmp_path / "m.zip")
    assert failure(client, submit_compile(client, model))[0] == api.JOB_FAILURE_TYPE_MODEL_CORRUPT
    assert not [path for path in tmp_path.rglob("*") if "escaped" in path.name]


def test_weights_that_were_left_behind_fail(client: Client, qdq: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load(qdq / "model.onnx")
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=100)
    kind, reason = failure(client, submit_compile(client, str(path)))
    assert kind == api.JOB_FAILURE_TYPE_MODEL_CORRUPT
    assert "model.data" in reason


# Faults of jobs


def test_noise_is_on_the_component_that_was_named_alone(
    hub: StandIn, client: Client, binary: Path, feeds: dict[str, np.ndarray], expected: np.ndarray
) -> None:
    hub.set_faults(Faults(noises=(Noise("unet", 30.0),)))
    found = []
    for name in ("vae_decoder", "UNet", "UNet"):
        job = client.submit_inference_job(str(binary), DEVICE, name=f"qnn-sd {name}", inputs=as_dataset(feeds))
        found.append(job.download_output_data()["y"][0])
    np.testing.assert_array_equal(found[0], expected)
    assert sqnr_db(expected, found[1]) == pytest.approx(30, abs=0.01)
    np.testing.assert_array_equal(found[1], found[2])


def test_an_input_can_count_for_less(
    hub: StandIn, client: Client, binary: Path, feeds: dict[str, np.ndarray], expected: np.ndarray
) -> None:
    hub.set_faults(Faults(weakened=(Weakened("unet", "x", 1.0),)))
    inputs = {"x": [feeds["x"] * 1.5, feeds["x"] * 0.5]}
    found = client.submit_inference_job(str(binary), DEVICE, name="unet", inputs=inputs).download_output_data()["y"]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], expected)


def test_a_job_that_is_to_fail_tells_why_and_the_next_one_does_not(
    hub: StandIn, client: Client, binary: Path, tmp_path: Path
) -> None:
    text = "graph requires estimated allocation of 2347229 KB, limit is 2097152 KB"
    hub.set_faults(Faults(failures=(JobFailure("unet", api.JOB_FAILURE_TYPE_RUNTIME_DEVICE_OOM, text, times=1),)))
    jobs = [client.submit_inference_job(str(binary), DEVICE, name="unet", profile=True) for _ in range(2)]
    assert failure(client, jobs[0]) == (api.JOB_FAILURE_TYPE_RUNTIME_DEVICE_OOM, text)
    assert f"RUNTIME_DEVICE_OOM: {text}" in log_of(jobs[0], tmp_path)
    assert jobs[1].wait().success


def test_a_fault_may_be_of_jobs_of_one_kind_and_a_model_another_one(
    hub: StandIn, client: Client, qdq: Path, binary: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.bin"
    shutil.copy(binary, other)
    failing = JobFailure("profile/unet", api.JOB_FAILURE_TYPE_RUNTIME_TIMEOUT)
    hub.set_faults(Faults(failures=(failing,), wrong_models=(WrongModel("unet", other),)))
    model = client.upload_model(str(upload_folder(qdq, "unet", tmp_path)), name="unet")
    job = submit_compile(client, model)
    assert filecmp.cmp(other, job.download_target_model(str(tmp_path / "made.bin")), shallow=False)
    run = client.submit_inference_job(job.get_target_model(), DEVICE, name="unet", profile=True)
    assert failure(client, run) == (api.JOB_FAILURE_TYPE_RUNTIME_TIMEOUT, "RUNTIME_TIMEOUT")
    job = submit_compile(client, model, input_specs={"x": ((1, 3, 8, 8), "float32")})
    assert failure(client, job)[0] == api.JOB_FAILURE_TYPE_INVALID_INPUTS


def test_a_slow_job_is_seen_on_its_way_and_a_stuck_one_never_ends(hub: StandIn, client: Client, binary: Path) -> None:
    hub.set_faults(Faults(slow=(Slow(3),)))
    job = client.submit_inference_job(str(binary), DEVICE, name="unet", profile=True)
    states = [job.get_status().state.name for _ in range(4)]
    assert states == ["CREATED", "PROVISIONING_DEVICE", "MEASURING_PERFORMANCE", "SUCCESS"]
    hub.set_faults(Faults(stuck=(Stuck("unet"),)))
    job = client.submit_inference_job(str(binary), DEVICE, name="unet", profile=True)
    assert {job.get_status().state.name for _ in range(9)} == {"PROVISIONING_DEVICE"}
    assert client.get_job_summaries(state=qai_hub.JobStatus.State.PROVISIONING_DEVICE)[0].job_id == job.job_id
    hub.set_faults(Faults())
    assert job.wait().success


def test_a_stand_in_that_is_started_again_goes_on(binary: Path, tmp_path: Path) -> None:
    with StandIn(tmp_path / "hub", Faults(stuck=(Stuck("late"),))) as hub:
        client, url = client_of(hub), hub.url
        model = client.upload_model(str(binary), name="unet")
        done = client.submit_inference_job(model, DEVICE, name="done", profile=True)
        assert done.wait().success
        late = client.submit_inference_job(model, DEVICE, name="late", profile=True)
        late.set_name("late, renamed")
    with StandIn(tmp_path / "hub") as hub:
        assert hub.url == url
        # The same client: address and token are the same, too.
        assert client.get_job(late.job_id).name == "late, renamed"
        assert client.get_job(late.job_id).wait().success
        assert client.get_job(done.job_id).download_profile() == done.download_profile()
        assert client.get_models()[0].model_id == model.model_id
        assert not hub.counts.jobs
