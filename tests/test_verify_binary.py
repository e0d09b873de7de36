"""``qnn-sd verify FILE|FOLDER``: anybody's context binary on the emulator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_here import CliHere
from graphs import quantized
from small_binary import BINARY, CONTEXT, compile_small, small_qdq
from test_inspect import NEWER, OLDER

from qnn_sd import qnn_provider
from qnn_sd.binaries.found import find_binaries
from qnn_sd.config import load_profile
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``float``, ``qdq`` and ``compiled``."""
    folder = tmp_path_factory.mktemp("small") / "made"
    compile_small(small_qdq(folder), folder / "compiled")
    return folder


def test_a_raw_binary_runs_and_it_is_said_what_that_shows(small: Path, cli_here: CliHere) -> None:
    document = cli_here.json("verify", str(small / "compiled" / BINARY))
    [graph] = document["graphs"]
    assert (graph["calls"], graph["finite"], graph["repeats"], graph["responds"]) == (3, True, True, True)
    assert (graph["reference"], graph["sqnr"], graph["constant_outputs"]) == (None, None, [])
    assert "nothing to compare it with" in document["does_not_show"]
    assert "a chip computes the same" in document["does_not_show"]


def test_a_binary_of_an_older_qairt_computes_what_its_graph_says(small: Path, cli_here: CliHere) -> None:
    document = cli_here.json("verify", str(OLDER), "--against", str(small / "qdq"))
    [graph] = document["graphs"]
    assert graph["reference"] == "QDQ graph"
    assert graph["sqnr"]["worst_db"] > 70
    of_float = cli_here.json("verify", str(OLDER), "--against", str(small / "float" / "model.onnx"))["graphs"][0]
    assert of_float["reference"] == "float graph"
    assert 40 < of_float["sqnr"]["worst_db"] < 60


def test_a_binary_of_a_newer_qairt_is_refused_with_both_roads(reading_cli: CliHere) -> None:
    said = reading_cli.refused(20, "verify", str(NEWER))
    assert "compiled by QAIRT 2.51.0, newer than the emulator's 2.50.40" in said
    assert "Using newer context binary on old SDK" in said
    assert "onnxruntime-qnn==2.7.0 (docs/toolchains.md)" in said
    assert "--qairt_version 2.50" in said


def test_a_binary_for_another_htp_than_asked_is_refused(reading_cli: CliHere) -> None:
    said = reading_cli.refused(20, "verify", str(OLDER), "--soc", "sm8550")
    assert "isn't for sm8550" in said
    assert "It was compiled for SM8650 (soc_model 57). It is for HTP v75, newer than the chip's v73." in said


def test_another_graph_s_reference_is_refused(small: Path, cli_here: CliHere, tmp_path: Path) -> None:
    def other_weights(g: Graph) -> None:
        weights = RandomTensors(9)
        x = conv(g, weights, "first", g.input("x", (1, 3, 6, 6)), 5)
        g.output(conv(g, weights, "second", x, 4), "y")

    def other_inputs(g: Graph) -> None:
        g.output(conv(g, RandomTensors(9), "first", g.input("latent", (1, 3, 8, 8)), 4), "y")

    feeds = {"x": np.zeros((1, 3, 6, 6), np.float32) + 1}
    other = quantized(other_weights, feeds, tmp_path / "outside" / "weights")
    binary = str(small / "compiled" / BINARY)
    done = cli_here("verify", binary, "--against", str(other), "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["error"]["code"] == 15
    assert "where 35 dB is the least" in document["error"]["what"]
    assert "compiled from" in document["error"]["next"]
    shape = quantized(other_inputs, {"latent": np.ones((1, 3, 8, 8), np.float32)}, tmp_path / "outside" / "inputs")
    assert "isn't the graph of this binary" in cli_here("verify", binary, "--against", str(shape)).stderr


def test_an_output_that_never_changes_is_told(cli_here: CliHere, tmp_path: Path) -> None:
    def constant(g: Graph) -> None:
        x = conv(g, RandomTensors(4), "first", g.input("x", (1, 3, 6, 6)), 5)
        g.output(g.node("Mul", [x, g.constant("zero", np.zeros((1, 5, 1, 1), np.float32))], x.shape, "silent"), "y")

    qdq = quantized(constant, {"x": np.ones((1, 3, 6, 6), np.float32)}, tmp_path / "outside")
    made = compile_small(qdq, tmp_path / "outside" / "compiled")
    done = cli_here("verify", str(made))
    assert done.returncode == 0
    assert "all numbers of its output y are the same" in done.stderr
    assert "two different inputs gave the same outputs" in done.stderr


def test_one_inside_its_onnx_file_runs_too(small: Path, cli_here: CliHere) -> None:
    made = compile_small(small / "qdq", small / "embedded", embed=True)
    document = cli_here.json("inspect", str(made / CONTEXT))
    assert [each["embedded"] for each in document["binaries"]] == [True]
    assert cli_here.json("verify", str(made / CONTEXT), "--against", str(small / "qdq"))["graphs"][0]["calls"] == 3


def test_both_graphs_of_one_binary_are_listed_and_a_renamed_node_named(tmp_path: Path, cli_here: CliHere) -> None:
    folder = cli_here.folder / "two"
    folder.mkdir()
    for number, side in enumerate((6, 8)):

        def build(g: Graph, side: int = side) -> None:
            g.output(conv(g, RandomTensors(4), "first", g.input("x", (1, 3, side, side)), 5), "y")

        feeds = {"x": np.ones((1, 3, side, side), np.float32)}
        qdq = quantized(build, feeds, tmp_path / "outside" / str(side))
        entries = {
            **{"ep.context_enable": "1", "ep.context_embed_mode": "0", "ep.share_ep_contexts": "1"},
            "ep.context_file_path": str(folder / f"side{side}_ctx.onnx"),
            **({"ep.stop_share_ep_contexts": "1"} if number else {}),
        }
        qnn_provider.session(qdq / MODEL_FILE, qnn_provider.htp_options(57, 75), entries)
    [binary] = cli_here.json("inspect", "two")["binaries"]
    assert [each["inputs"][0]["dims"] for each in binary["info"]["graphs"]] == [[1, 3, 6, 6], [1, 3, 8, 8]]
    path = folder / "side8_ctx.onnx"
    model = onnx.load(str(path))
    model.graph.node[0].name = "renamed"
    onnx.save(model, str(path))
    assert "node renamed has no graph of its name in the binary, which has 2" in cli_here.refused(19, "verify", "two")


def test_a_file_for_several_socs_is_read_and_not_run(small: Path, cli_here: CliHere) -> None:
    made = compile_small(small / "qdq", small / "several", {"soc_model": "43,57", "htp_arch": "73,75"})
    document = cli_here.json("inspect", str(made))
    assert [(each["member"], each["soc"], each["info"]["htp_arch"]) for each in document["binaries"]] == [
        ("htp.cache.sm8550.0", "SM8550", 73),
        ("htp.cache.sm8650.0", "SM8650", 75),
    ]
    assert "which the emulator doesn't load" in cli_here.refused(20, "verify", str(made / BINARY))


def test_a_bundle_is_held_to_the_gates_with_the_inputs_that_its_build_kept(
    pipeline: BuildPipeline, cli_here: CliHere
) -> None:
    bundle = pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    [text_encoder] = [each for each in find_binaries(bundle.folder).binaries if each.component == "text_encoder"]
    compiled = pipeline.compile("text_encoder", load_profile("sm8650")).folder
    [graph] = cli_here.json("verify", str(compiled))["graphs"]
    measured = (bundle.info.verification or {})["text_encoder"]
    assert measured.binary_against_qdq is not None
    assert graph["inputs"] == "kept"
    assert graph["graph"] == (text_encoder.info and text_encoder.info.graphs[0].name)
    assert graph["sqnr"] == measured.binary_against_qdq.model_dump(mode="json")
    assert graph["qdq_against_float"] == measured.qdq_against_float.model_dump(mode="json")
    # Elsewhere nothing is known of its build: only its binary is.
    copy = cli_here.folder / "elsewhere"
    copy.mkdir()
    for each in compiled.glob("model*"):
        shutil.copy(each, copy)
    assert cli_here.json("verify", "elsewhere")["graphs"][0]["inputs"] == "random"


def test_options_of_a_build_mean_nothing_with_a_file(cli_here: CliHere) -> None:
    assert "--report has no meaning with a file or folder" in cli_here.refused(
        3, "verify", str(OLDER), "--report", "report.md"
    )
    assert "Type qnn-sd verify --soc sm8650" in cli_here.refused(2, "verify", "sm8650")
    assert "--against has no meaning without a file" in cli_here.refused(3, "verify", "--against", "qdq")
