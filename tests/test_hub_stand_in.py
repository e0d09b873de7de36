"""The stand-in for AI Hub, as AI Hub's own client sees it."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_hub_helpers import DEVICE, client_of, upload_folder
from graphs import quantized, small_graph
from qai_hub.client import Client

from qnn_sd import qnn_provider
from qnn_sd.compile import CONTEXT_FILE, compile_component
from qnn_sd.config import load_profile
from qnn_sd.hub_stand_in import STAND_IN_ATTRIBUTE, StandIn
from qnn_sd.reference import outputs_of

PROFILE = load_profile("sm8650")


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)}


@pytest.fixture(scope="module")
def qdq(feeds: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized(small_graph, feeds, tmp_path_factory.mktemp("small"))


@pytest.fixture
def client(hub: StandIn) -> Client:
    return client_of(hub)


def compiled_here(qdq: Path, folder: Path) -> Path:
    """The local compiler's folder."""
    folder.mkdir()
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, PROFILE.optimization_mode, folder)
    return folder


def test_a_model_is_compiled_and_run_as_it_is_here(
    hub: StandIn, client: Client, qdq: Path, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = client.upload_model(str(upload_folder(qdq, "unet")), name="unet")
    job = client.submit_compile_job(model, DEVICE, name="compile unet", options="--qairt_version 2.50")
    assert job.wait().success
    binary = Path(job.download_target_model(str(tmp_path / "unet.bin")))
    # The graph's name in a binary has a hash of the path that it was compiled from: so from the same path.
    source = tmp_path / "hub" / "work" / job.job_id / "source"
    shutil.copytree(qdq, source)
    here = compiled_here(source, tmp_path / "here")
    assert filecmp.cmp(next(here.glob("*.bin")), binary, shallow=False)

    inputs = {"x": [feeds["x"], feeds["x"] / 2]}
    job = client.submit_inference_job(job.get_target_model(), DEVICE, name="run unet", inputs=inputs, profile=True)
    outputs = job.download_output_data()
    session = qnn_provider.session(here / CONTEXT_FILE, qnn_provider.htp_options(PROFILE.soc_model, PROFILE.htp_arch))
    for array, found in zip(inputs["x"], outputs["y"], strict=True):
        np.testing.assert_array_equal(outputs_of(session, {"x": array})["y"], found)
    layers = job.download_profile()["execution_detail"]
    assert [each["name"] for each in layers[1:]] == ["first", "relu", "second"]
    assert STAND_IN_ATTRIBUTE in layers[0]["name"]
    assert hub.counts.jobs == {"compile": 1, "inference": 1}
