"""Context binaries: every node on the HTP, faithful for both SoCs, refused when they aren't."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import quantized, run

from qnn_sd import qnn_provider
from qnn_sd.compile import Binary, Verifier, compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.compile.run_binary import run_both
from qnn_sd.config import load_profile
from qnn_sd.errors import CompileError, TargetError, VerificationError
from qnn_sd.export.blocks import norm
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.resources import usable_cores
from qnn_sd.runner import Feeds
from qnn_sd.verification import BINARY_AGAINST_QDQ, VerificationInput, require_gate, sqnr_summary


def labelled(feeds: Sequence[Feeds]) -> list[VerificationInput]:
    return [VerificationInput(f"call {number}", each) for number, each in enumerate(feeds)]


@pytest.mark.parametrize("soc", ["sm8550", "sm8650"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_the_binary_computes_its_qdq_graph(component: str, soc: str, pipeline: BuildPipeline) -> None:
    """On real inputs from different prompts and times of the trajectory, other ones than at compile time."""
    profile = load_profile(soc)
    made = pipeline.compile(component, profile)
    wrapper = onnx.load(made.file(CONTEXT_FILE), load_external_data=False)
    # The whole component is one binary: nothing but its in- and output conversion is left outside.
    assert [node.op_type for node in wrapper.graph.node if node.domain == "com.microsoft"] == ["EPContext"]
    assert all(node.op_type in ("EPContext", "QuantizeLinear", "DequantizeLinear") for node in wrapper.graph.node)
    session = qnn_provider.session(
        made.file(CONTEXT_FILE), qnn_provider.htp_options(profile.soc_model, profile.htp_arch)
    )
    feeds = list(pipeline.samples(pipeline.calibration(), component))
    qdq = pipeline.quantize(component).folder
    chosen = feeds[:: max(1, len(feeds) // 4)]
    expected = np.stack([run(qdq, sample) for sample in chosen])
    found = sqnr_db(expected, np.stack([session.run(None, sample)[0] for sample in chosen]))
    assert found >= (55 if component == "unet" else 50)


def test_each_soc_has_a_binary_of_its_own(pipeline: BuildPipeline) -> None:
    made = {soc: pipeline.compile("text_encoder", load_profile(soc)) for soc in ("sm8550", "sm8650")}
    wrappers = {soc: onnx.load(a.file(CONTEXT_FILE), load_external_data=False) for soc, a in made.items()}
    metadata = {soc: str([(p.key, p.value) for p in w.metadata_props]) for soc, w in wrappers.items()}
    for soc, text in metadata.items():
        profile = load_profile(soc)
        assert f":{profile.htp_arch}:{profile.soc_model}" in text


def wrong_form(g: Graph) -> None:
    """A form that the HTP compiler gets wrong (test_htp_forms.py)."""
    weights = RandomTensors(1)
    x = conv(g, weights, "first", g.input("x", (1, 64, 12, 12)), 64)
    x = group_norm(g, "norm", x, affine_of(weights, "norm", 64), 16, 1e-5, "silu")
    g.output(conv(g, weights, "second", x, 64), "y")


def test_a_wrong_binary_is_found_before_the_phone_does(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norm, "FLAT_ACT_BELOW", 0)
    feeds = {"x": rng.standard_normal((1, 64, 12, 12), np.float32)}
    qdq = quantized(wrong_form, feeds, tmp_path)
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    metadata = compile_component(qdq, 57, 75, 3, compiled)
    assert metadata["context_binary_bytes"] > 0
    inputs = labelled([feeds])
    found = Verifier(usable_cores()).sqnr("block", Binary(qdq, compiled, 57, 75), inputs)
    assert found.worst_db < 30
    with pytest.raises(VerificationError, match="block is refused: context binary against QDQ graph") as refused:
        require_gate(BINARY_AGAINST_QDQ, "block", found)
    assert "call 0" in refused.value.why
    assert "The HTP compiler computes something else" in refused.value.why


def test_binaries_are_verified_in_parallel(pipeline: BuildPipeline) -> None:
    """In processes of their own, with the figures that one after the other gives here."""
    profile = load_profile("sm8650")
    binaries, inputs = {}, {}
    for component in ("text_encoder", "vae_decoder"):
        qdq, compiled = pipeline.quantize(component).folder, pipeline.compile(component, profile).folder
        binaries[component] = Binary(qdq, compiled, profile.soc_model, profile.htp_arch)
        inputs[component] = pipeline.verification_inputs(component)[:2]
        assert len(inputs[component]) == 2
    verifier = Verifier(usable_cores())
    with ThreadPoolExecutor() as pool:
        measured = pool.map(verifier.sqnr, binaries, binaries.values(), inputs.values())
        found = dict(zip(binaries, measured, strict=True))
    for component, binary in binaries.items():
        outputs = run_both(*astuple(binary), [one.feeds for one in inputs[component]])
        here = sqnr_summary(inputs[component], *outputs)
        # Not to the last digit: the CPU adds up in another order with other threads.
        assert found[component].all_db == pytest.approx(here.all_db, abs=0.1)
        assert found[component].worst_db == pytest.approx(here.worst_db, abs=0.1)
        assert found[component].worst_input == here.worst_input
        assert found[component].difference_db is None


def test_a_binary_that_cannot_be_loaded_is_told(pipeline: BuildPipeline, tmp_path: Path) -> None:
    inputs = labelled([{"input_ids": np.zeros((1, 77), np.int32)}])
    verifier = Verifier(usable_cores())
    with pytest.raises(TargetError, match="The emulator failed on"):
        verifier.sqnr("text_encoder", Binary(pipeline.quantize("text_encoder").folder, tmp_path, 57, 75), inputs)
    verifier.close()
    with pytest.raises(TargetError, match="called off"):
        verifier.sqnr("text_encoder", Binary(tmp_path, tmp_path, 57, 75), inputs)


def test_a_graph_that_the_htp_refuses_is_an_error(tmp_path: Path) -> None:
    """A float graph: nothing in it is for the HTP, and nothing falls back to the CPU unsaid."""
    with Graph("test", tmp_path) as g:
        x = g.input("x", (1, 4))
        g.output(g.node("Mod", [x, g.constant("by", np.ones(4, np.float32))], (1, 4), fmod=1), "y")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CompileError, match="refused"):
        compile_component(tmp_path, 57, 75, 3, out)


def test_a_compiler_that_dies_is_told(pipeline: BuildPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel kills the child when it has used a second of processor time."""
    limited = tmp_path / "python"
    limited.write_text(f'#!/bin/sh\nulimit -t 1\nexec "{sys.executable}" "$@"\n')
    limited.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(limited))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CompileError, match="crashed with SIG"):
        compile_component(pipeline.quantize("unet").folder, 57, 75, 3, out)


def test_a_damaged_qdq_graph_is_an_error(pipeline: BuildPipeline, tmp_path: Path) -> None:
    shutil.copytree(pipeline.quantize("text_encoder").folder, tmp_path / "qdq")
    model = tmp_path / "qdq" / MODEL_FILE
    model.write_bytes(model.read_bytes()[:1000])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CompileError, match="refused"):
        compile_component(tmp_path / "qdq", 57, 75, 3, out)
