"""The gates refuse what is planted, by the right gate and with the right culprit; what passes is what it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cli_here import CliHere
from conftest import ROOT, Cli, json_document
from onnx import numpy_helper
from PIL import Image

from qnn_sd import qnn_provider
from qnn_sd.compile import Binary, Verifier, compile_component
from qnn_sd.config import GuidanceSetting, load_profile
from qnn_sd.console import Console, json_text
from qnn_sd.errors import ArtifactError, VerificationError
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.pipeline.stages.verify_stage import likely_cause_in_versions
from qnn_sd.quantize import sqnr_against_float
from qnn_sd.quantize.calibration import read_prompts
from qnn_sd.resources import usable_cores
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    QDQ_AGAINST_FLOAT,
    Gate,
    SettingSqnr,
    SqnrSummary,
    VerificationInput,
    gate_warning,
    require_finite,
    require_gate,
    setting_warning,
    sqnr_summary,
)

INPUTS = [VerificationInput(f"step {n // 2}, pass {n % 2}", {}, pair=n // 2) for n in range(4)]


def outputs(rng: np.random.Generator, error: float = 1e-4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    exact = [rng.standard_normal((1, 4, 8, 8)) for _ in INPUTS]
    return exact, [each + error * rng.standard_normal(each.shape) for each in exact]


def answers(arrays: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Of a graph with one output."""
    return [{"output": array} for array in arrays]


def test_the_summary_is_of_all_of_the_worst_and_of_the_difference(rng: np.random.Generator) -> None:
    exact, found = outputs(rng)
    found[2] = exact[2] + 1e-2 * rng.standard_normal(exact[2].shape)
    told = sqnr_summary(INPUTS, answers(exact), answers(found))

    def decibels(a: Any, b: Any) -> float:
        return float(10 * np.log10(np.square(a).sum() / np.square(np.subtract(a, b)).sum()))

    assert told.all_db == pytest.approx(decibels(exact, found), abs=0.01)
    assert told.worst_db == pytest.approx(decibels(exact[2], found[2]), abs=0.01)
    assert told.worst_input == INPUTS[2].label
    assert told.difference_db == pytest.approx(decibels(exact[3] - exact[2], found[3] - found[2]), abs=0.01)
    assert told.worst_difference == INPUTS[3].label


@pytest.mark.parametrize("bad", ["first", "second"])
def test_of_several_outputs_the_worst_counts(bad: str, rng: np.random.Generator) -> None:
    """In each figure, whichever output it is, and the output is named."""
    exact, found = outputs(rng)
    worse = [each + 1e-2 * rng.standard_normal(each.shape) for each in exact]
    good = sqnr_summary(INPUTS, answers(exact), answers(found))
    alone = sqnr_summary(INPUTS, answers(exact), answers(worse))
    pair = {"first": found, "second": found} | {bad: worse}
    both = sqnr_summary(
        INPUTS,
        [{"first": each, "second": each} for each in exact],
        [{name: arrays[number] for name, arrays in pair.items()} for number in range(len(INPUTS))],
    )
    assert alone.worst_db < good.worst_db - 20
    assert (both.all_db, both.worst_db, both.difference_db) == (alone.all_db, alone.worst_db, alone.difference_db)
    assert both.worst_input == f"{alone.worst_input}, output {bad}"
    assert both.worst_difference == f"{alone.worst_difference}, output {bad}"


def test_answers_without_the_same_outputs_are_refused(rng: np.random.Generator) -> None:
    exact, found = outputs(rng)
    with pytest.raises(VerificationError, match="the same outputs: output in the reference"):
        sqnr_summary(INPUTS, answers(exact), [*answers(found[:3]), {"other": found[3]}])


def test_nan_in_a_second_output_passes_no_gate(rng: np.random.Generator) -> None:
    exact, found = outputs(rng)
    planted = [each.copy() for each in found]
    planted[2][0, 0, 0, 0] = np.nan
    both = [{"first": a, "second": b} for a, b in zip(found, planted, strict=True)]
    with pytest.raises(VerificationError, match="NaN or infinity") as caught:
        require_finite("unet", INPUTS, both, "the context binary", "cure")
    assert "numbers of second" in str(caught.value)
    told = sqnr_summary(INPUTS, [{"first": each, "second": each} for each in exact], both)
    with pytest.raises(VerificationError):
        require_gate(BINARY_AGAINST_QDQ, "unet", told)


@pytest.mark.parametrize("gate", [BINARY_AGAINST_QDQ, QDQ_AGAINST_FLOAT], ids=lambda gate: gate.name)
@pytest.mark.parametrize("bad", ["all_db", "worst_db", "difference_db"])
@pytest.mark.parametrize("figure", ["below", float("nan")])
def test_each_figure_of_each_gate_refuses(gate: Gate, bad: str, figure: str | float) -> None:
    good = {"all_db": 90.0, "worst_db": 90.0, "worst_input": "that one", "difference_db": 90.0}
    require_gate(gate, "unet", SqnrSummary(**good, worst_difference="that pair"))
    least = gate.least_difference_db if bad == "difference_db" else gate.least_db
    value = least - 0.1 if figure == "below" else figure
    # Unchecked, as a figure that isn't a number would come out of arithmetic.
    found = SqnrSummary.model_construct(**{**good, bad: value}, worst_difference="that pair")
    with pytest.raises(VerificationError) as caught:
        require_gate(gate, "unet", found)
    told = str(caught.value)
    assert gate.name in told
    assert "unet" in told
    assert gate.suspect in told
    assert ("that pair" if bad == "difference_db" else "that one") in told


@pytest.mark.parametrize("planted", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_pass_no_gate_and_reach_no_json(planted: float, rng: np.random.Generator) -> None:
    exact, found = outputs(rng)
    found[1][0, 0, 0, 0] = planted
    with pytest.raises(VerificationError, match="NaN or infinity") as caught:
        require_finite("unet", INPUTS, answers(found), "the context binary", "cure")
    assert INPUTS[1].label in str(caught.value)
    told = sqnr_summary(INPUTS, answers(exact), answers(found))
    assert told.worst_input == INPUTS[1].label
    with pytest.raises(VerificationError):
        require_gate(BINARY_AGAINST_QDQ, "unet", told)
    with pytest.raises(ValueError, match="JSON"):
        json_text(told.model_dump())
    assert json.loads(json_text(sqnr_summary(INPUTS, answers(exact), answers(exact)).model_dump()))["worst_db"] == 200


def changed(source: Path, folder: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    """A copy of a QDQ model, changed."""
    shutil.copytree(source, folder)
    model = onnx.load(str(folder / MODEL_FILE), load_external_data=False)
    change(model.graph)
    onnx.save(model, str(folder / MODEL_FILE))
    return folder


def scaled(graph: onnx.GraphProto, wanted: Callable[[str], bool], factor: float) -> None:
    """Multiplies the steps of the weights whose names are wanted, and with them what the layers answer."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    count = 0
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants and wanted(node.input[0]):
            scale = constants[node.input[1]]
            scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(factor), scale.name))
            count += 1
    assert count, "nothing was planted"


def own_inputs(pipeline: BuildPipeline, component: str) -> list[VerificationInput]:
    """Those of the model's default guidance."""
    return [
        one
        for one in pipeline.verification_inputs(component)
        if one.setting in (None, *pipeline.model.default_settings)
    ]


def compared(pipeline: BuildPipeline, component: str, qdq: Path) -> SqnrSummary:
    source, inputs = pipeline.export(component).folder, own_inputs(pipeline, component)
    [found] = sqnr_against_float(component, source, qdq, inputs, [range(len(inputs))])
    return found


def is_conditioning(name: str) -> bool:
    """All that the text does to the UNet comes through the second attention's output."""
    return ".attn2.to_out" in name and ".weight" in name


@pytest.mark.parametrize(
    ("factor", "what"), [(0.05, "over all inputs"), (0.95, "in the difference of the two guidance passes")]
)
def test_a_conditioning_that_is_too_weak_is_refused(
    factor: float, what: str, pipeline: BuildPipeline, tmp_path: Path
) -> None:
    """Weakened to a twentieth each pass shows it; weakened by a twentieth, their difference alone."""
    weak = changed(
        pipeline.quantize("unet").folder, tmp_path / "weak", lambda graph: scaled(graph, is_conditioning, factor)
    )
    found = compared(pipeline, "unet", weak)
    assert found.difference_db is not None
    assert found.difference_db < QDQ_AGAINST_FLOAT.least_difference_db
    with pytest.raises(VerificationError, match=f"unet is refused: QDQ graph against float model, .*{what}"):
        require_gate(QDQ_AGAINST_FLOAT, "unet", found)


def test_a_binary_of_another_graph_is_the_compilers_fault(pipeline: BuildPipeline, tmp_path: Path) -> None:
    """Compiled from a graph whose conditioning is weaker than in the graph that it is held against."""
    qdq = pipeline.quantize("unet").folder
    weak = changed(qdq, tmp_path / "weak", lambda graph: scaled(graph, is_conditioning, 0.05))
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    compile_component(weak, 57, 75, 1, compiled)
    found = Verifier(usable_cores()).sqnr("unet", Binary(qdq, compiled, 57, 75), own_inputs(pipeline, "unet")[:2])
    assert found.difference_db is not None
    assert found.difference_db < BINARY_AGAINST_QDQ.least_difference_db
    with pytest.raises(VerificationError, match="The HTP compiler computes something else"):
        require_gate(BINARY_AGAINST_QDQ, "unet", found)


def test_a_qdq_graph_that_answers_with_nan_is_named(pipeline: BuildPipeline, tmp_path: Path) -> None:
    def spoil(graph: onnx.GraphProto) -> None:
        last = next(node for node in graph.node if node.output[0] == graph.output[0].name)
        scale = next(tensor for tensor in graph.initializer if tensor.name == last.input[1])
        scale.CopyFrom(numpy_helper.from_array(np.array(np.nan, np.float32), scale.name))

    broken = changed(pipeline.quantize("text_encoder").folder, tmp_path / "broken", spoil)
    with pytest.raises(VerificationError, match="text_encoder: the QDQ graph answers with NaN or infinity"):
        compared(pipeline, "text_encoder", broken)


def test_halved_encodings_of_a_user_are_the_users_fault(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    """AIMET's JSON with the activations' ranges of one component halved."""
    encodings = json.loads((pipeline.quantize("vae_decoder").folder / "encodings.json").read_text())
    for each in encodings["activation_encodings"]:
        each["scale"] = [scale / 2 for scale in each["scale"]]
    folder = cli_here.folder / "encodings"
    folder.mkdir()
    (folder / "vae_decoder.json").write_text(json.dumps(encodings))
    told = cli_here.refused(VerificationError.exit_code, "run", "a red circle", "--encodings", str(folder))
    assert "vae_decoder is refused: QDQ graph against float model" in told
    assert "The encodings in" in told
    assert "vae_decoder.json" in told
    assert "text_encoder" not in told.partition("error:")[2]


def test_versions_that_nobody_tried_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert likely_cause_in_versions() == ("", ""), "the installed versions are of no tried set"
    there: Mapping[str, str] = {**qnn_provider.versions(), "onnxruntime": "9.9.9"}
    monkeypatch.setattr(qnn_provider, "versions", lambda: there)
    suspect, hint = likely_cause_in_versions()
    assert "onnxruntime 9.9.9" in suspect
    assert hint == load_toolchains().chosen.install
    low = SqnrSummary(all_db=20.0, worst_db=20.0, worst_input="one")
    with pytest.raises(VerificationError, match=r"Nobody tried .*onnxruntime 9\.9\.9"):
        require_gate(BINARY_AGAINST_QDQ, "unet", low, suspect, hint)


def test_what_is_verified_with_was_fitted_to_by_nothing(pipeline: BuildPipeline) -> None:
    config = pipeline.model.verification
    ours = set(read_prompts(ROOT / "assets" / config.prompts))
    negatives = set(read_prompts(ROOT / "assets" / config.negatives))
    for part in (pipeline.model.calibration, pipeline.model.calibration.held_out):
        assert not ours & set(read_prompts(ROOT / "assets" / part.prompts))
        assert not negatives & set(read_prompts(ROOT / "assets" / part.negatives))
    plan = pipeline.verification_plan()
    for part in (pipeline.model.calibration, pipeline.model.calibration.held_out):
        assert not {each.seed for each in plan} & set(range(part.seed, part.seed + part.trajectories))


def test_unet_is_asked_at_every_setting_first_middle_and_last_with_both_passes(pipeline: BuildPipeline) -> None:
    inputs = pipeline.verification_inputs("unet")
    for setting in pipeline.model.settings:
        some = [one for one in inputs if one.setting == setting]
        times = [float(one.feeds["timestep"][0]) for one in some]
        passes = 2 if setting.guidance > 1 else 1
        assert len(some) == 3 * passes * pipeline.model.verification.prompts_per_setting
        assert times[0] == max(times) == 999
        assert times[-1] == min(times)
        assert len(set(times)) == 3
        assert len({one.trajectory for one in some}) == pipeline.model.verification.prompts_per_setting
        if passes == 2:
            first, second = some[:2]
            assert first.pair == second.pair
            assert not np.array_equal(first.feeds["encoder_hidden_states"], second.feeds["encoder_hidden_states"])
            np.testing.assert_array_equal(first.feeds["sample"], second.feeds["sample"])
            assert "negative pass" in first.label
            assert "prompt pass" in second.label
    assert inputs[0].setting == GuidanceSetting(guidance=pipeline.model.guidance, negative=True)


def test_the_demo_passes_with_what_the_docs_promise(pipeline: BuildPipeline) -> None:
    """At the model's default guidance, with a negative prompt and without, the worst of all inputs."""
    verified = pipeline.bundle(load_profile("sm8650")).info.verification
    assert verified is not None
    assert set(verified) == set(COMPONENTS)
    for component, figures in verified.items():
        assert figures.binary_against_qdq is not None
        assert figures.binary_against_qdq.worst_db >= 55, component
        assert figures.qdq_against_float.worst_db >= 45, component
        assert figures.qdq_against_float.worst_db <= figures.qdq_against_float.all_db
    assert {each.setting for each in verified["unet"].settings} == set(pipeline.model.settings)


def figures(**by_setting: float) -> list[SettingSqnr]:
    found = []
    for name, worst in by_setting.items():
        scale, _, negative = name.removeprefix("g").partition("_")
        setting = GuidanceSetting(guidance=float(scale), negative=bool(negative))
        found.append(SettingSqnr(setting=setting, sqnr=SqnrSummary(all_db=60, worst_db=worst, worst_input="x")))
    return found


def test_run_warns_of_settings_outside_and_of_poor_ones() -> None:
    some = figures(g1=50, g4=48, g4_negative=47, g8=45, g8_negative=31)
    assert setting_warning(some, 4, negative=True) is None
    assert setting_warning(some, 8, negative=False) is None
    for scale in (8.0, 6.0):  # between two, the worse counts
        assert "31.0 dB" in (setting_warning(some, scale, negative=True) or "")
    outside = setting_warning(some, 12, negative=False) or ""
    assert "guidance 12 lies outside what was calibrated (1 to 8): nothing was measured there" in outside
    assert "45.0 dB" in outside
    assert setting_warning([], 12, negative=True) is None
    weak = [each.model_copy(update={"sqnr": each.sqnr.model_copy(update={"difference_db": 19.0})}) for each in some]
    assert "19.0 dB SQNR in the difference" in (setting_warning(weak, 4, negative=False) or "")
    barely = SqnrSummary(all_db=60, worst_db=39.9, worst_input="that one")
    assert "39.9 dB" in (gate_warning(QDQ_AGAINST_FLOAT, "unet", barely) or "")
    assert gate_warning(QDQ_AGAINST_FLOAT, "unet", barely.model_copy(update={"worst_db": 40.0})) is None


def test_what_was_not_verified_says_so_for_ever(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    options = ("--target", "cpu", "--precision", "w8a16", "--steps", "2", "--seed", "1")
    done = cli_here("run", "a red circle", *options, "--no-verify", "-o", "bare.png")
    assert done.returncode == 0, done.stderr
    assert "NOT VERIFIED (--no-verify)" in done.stderr
    assert Image.open(cli_here.folder / "bare.png").text["verified"] == "NOT VERIFIED (--no-verify)"  # type: ignore[attr-defined]
    # Taken from the cache it is told as loudly.
    assert (
        "NOT VERIFIED" in cli_here("run", "a red circle", *options, "--no-verify", "-o", "again.png", "--quiet").stderr
    )
    done = cli_here("run", "a red circle", *options, "-o", "sound.png")
    assert "NOT VERIFIED" not in done.stderr
    assert "QDQ graphs against float at least" in Image.open(cli_here.folder / "sound.png").text["verified"]  # type: ignore[attr-defined]


def test_run_tells_of_guidance_that_was_not_calibrated(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    options = ("--target", "cpu", "--precision", "w8a16", "--steps", "2", "--seed", "1")
    done = cli_here("run", "a red circle", *options, "--guidance", "20")
    assert "guidance 20 lies outside what was calibrated" in done.stderr
    assert "dB SQNR from the float model" in done.stderr
    assert "calibrated" not in cli_here("run", "a red circle", *options).stderr
    assert (
        "calibrated"
        not in cli_here("run", "a red circle", "--target", "cpu", "--guidance", "20", "--steps", "2").stderr
    )


def test_the_report_has_every_gate_and_nothing_private(hasty_cli: Cli, pipeline: BuildPipeline) -> None:
    pipeline.bundle(load_profile("sm8650"))
    told = hasty_cli.json("verify", "--report", "report.md")
    page = (hasty_cli.folder / "report.md").read_text()
    report = json_document(page.partition("```json\n")[2].partition("```")[0])
    assert (report["verdict"], report["error"], report["components"]) == ("passed", None, told["components"])
    for component in COMPONENTS:
        gates = told["components"][component]
        for gate in ("binary_against_qdq", "qdq_against_float"):
            assert f"{gates[gate]['all_db']:.1f} / {gates[gate]['worst_db']:.1f}" in page
    for needed in ("onnxruntime-qnn", "minutes", "GB", "UNet by setting", "![float, QDQ, binary](<report.png>)"):
        assert needed in page
    for private in (str(Path.home()), str(hasty_cli.folder), hasty_cli.environment["QNN_SD_CACHE"], "/root"):
        assert private not in page
    sheet = Image.open(hasty_cli.folder / "report.png")
    assert sheet.height == pipeline.model.height
    assert sheet.width >= 3 * pipeline.model.width
    forms = told["images"]["forms"]
    assert told["images"]["left_out"] is None
    assert all(each["psnr_db_against_float"] >= 50 for name, each in forms.items() if not name.startswith("float"))


def test_a_refused_build_is_reported_too(
    cli_here: CliHere, pipeline: BuildPipeline, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encodings = json.loads((pipeline.quantize("text_encoder").folder / "encodings.json").read_text())
    for each in encodings["activation_encodings"]:
        each["scale"] = [scale / 4 for scale in each["scale"]]
    folder = tmp_path_factory.mktemp("secret-name")
    (folder / "text_encoder.json").write_text(json.dumps(encodings))
    (cli_here.folder / "report.png").write_bytes(b"of an earlier run")
    done = cli_here("verify", "--report", "report.md", "--encodings", str(folder), "--json")
    assert done.returncode == VerificationError.exit_code
    told = json_document(done.stdout)
    assert "text_encoder is refused" in told["error"]["what"]
    assert told["error"]["code"] == VerificationError.exit_code
    assert not (cli_here.folder / "report.png").exists()
    page = (cli_here.folder / "report.md").read_text()
    assert "## Refused" in page
    assert "text\\_encoder is refused" in page or "text_encoder is refused" in page
    assert "## Versions" in page
    assert "**Refused.**" in page
    assert "encodings given for: text_encoder" in page
    assert "secret-name" not in page
    assert str(cli_here.folder) not in page


def test_a_binary_that_the_gate_refuses_is_bundled_by_nobody(
    pipeline: BuildPipeline, own_cache: Path, monkeypatch: Any
) -> None:
    """The emulator's answer of the UNet is that of another graph."""
    shutil.rmtree(own_cache / "verify", ignore_errors=True)
    shutil.rmtree(own_cache / "bundle", ignore_errors=True)
    honest = Verifier.sqnr_of_groups

    def lie(self: Verifier, component: str, *rest: Any) -> list[SqnrSummary]:
        found = honest(self, component, *rest)
        return [each.model_copy(update={"worst_db": 20.0}) for each in found] if component == "text_encoder" else found

    monkeypatch.setattr(Verifier, "sqnr_of_groups", lie)
    bad = BuildPipeline(pipeline.model, Console(quiet=True), cache=own_cache)
    with pytest.raises(VerificationError, match=r"text_encoder is refused: context binary against QDQ graph, 20\.0 dB"):
        bad.bundle(load_profile("sm8650"), ("text_encoder",))
    assert bad.measured["text_encoder"].binary_against_qdq.worst_db == 20.0  # the report's: what is refused tells most
    assert {each.sqnr.worst_db for each in bad.calls["text_encoder", "binary_against_qdq"]} == {20.0}
    assert not list(own_cache.glob("bundle/*"))
    assert not [path for path in own_cache.glob("verify/*") if "sm8650" in path.name]


@pytest.mark.parametrize(
    ("metadata", "error"),
    [(None, ArtifactError), ({"all_db": 1}, ArtifactError), ("poor", VerificationError)],
    ids=["none", "others", "below the gate"],
)
def test_cached_figures_are_held_to_the_gates_too(
    metadata: Any, error: type[Exception], pipeline: BuildPipeline, own_cache: Path
) -> None:
    pipeline.verify_quantization("text_encoder")
    shutil.rmtree(own_cache / "verify", ignore_errors=True)
    BuildPipeline(pipeline.model, Console(quiet=True), cache=own_cache).verify_quantization("text_encoder")
    [manifest] = own_cache.glob("verify/*text_encoder.qdq*/manifest.json")
    told = json.loads(manifest.read_text())
    if metadata is None:
        del told["metadata"]
    elif metadata == "poor":
        told["metadata"]["qdq_against_float"]["worst_db"] = 29.0
    else:
        told["metadata"] = metadata
    manifest.write_text(json.dumps(told))
    with pytest.raises(error):
        BuildPipeline(pipeline.model, Console(quiet=True), cache=own_cache).verify_quantization("text_encoder")


def test_the_summary_wants_an_output_for_each_input_and_both_passes(rng: np.random.Generator) -> None:
    exact, found = outputs(rng)
    for inputs, a, b in ((INPUTS[:2], exact, found), (INPUTS, exact[:1], found[:1]), ([], [], [])):
        with pytest.raises(ValueError, match="inputs"):
            sqnr_summary(inputs, answers(a), answers(b))
    with pytest.raises(ValueError, match="lacks its other"):
        sqnr_summary(INPUTS[:3], answers(exact[:3]), answers(found[:3]))


def test_a_bundle_for_a_phone_remembers_it_too(pipeline: BuildPipeline, cache: Path) -> None:
    bare = BuildPipeline(pipeline.model, Console(quiet=True), cache=cache, verify=False)
    info = bare.bundle(load_profile("sm8650")).info
    assert info.verification is None
    assert info.verified == "NOT VERIFIED (--no-verify)"
