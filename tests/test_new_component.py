"""A component that the kit doesn't know: one row beside the others, and every stage takes it to the phone.

It has what ControlNet and SDXL have and Stable Diffusion 1's components lack: two outputs, and two inputs that differ
between the guidance passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adb_host import AdbHost, started
from graphs import all_outputs
from test_calibration import small_model

from qnn_sd.config import QuantizationConfig, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import ConfigError, QuantizeError
from qnn_sd.export import ComponentExport, GraphSize
from qnn_sd.export.blocks.basic import add, conv, mul
from qnn_sd.export.checkpoint import RandomTensors, TensorSource
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import MIN_SQNR_DB, sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.pipeline.components import STABLE_DIFFUSION_1, Component
from qnn_sd.recording_runner import Sample
from qnn_sd.runner import Feeds, Outputs
from qnn_sd.targets import CpuRunner, EmulatorRunner
from qnn_sd.targets.adb.client import Adb
from qnn_sd.targets.adb.session.deployment import deployed

CHANNELS, GUIDANCE = 4, 4.0
PROFILE = load_profile("sm8650")


def build(g: Graph, _config: Mapping[str, Any], _weights: TensorSource, size: GraphSize) -> None:
    """``sample``, ``hint`` and ``gate`` to ``down`` and ``mid``; its weights are its own (seed 5)."""
    weights, shape = RandomTensors(5), (1, CHANNELS, size.latent_height, size.latent_width)
    sample, hint, gate = g.input("sample", shape), g.input("hint", shape), g.input("gate", (1, CHANNELS, 1, 1))
    x = add(g, conv(g, weights, "conv_in", sample, CHANNELS), conv(g, weights, "conv_hint", hint, CHANNELS), "sum")
    g.output(conv(g, weights, "down", x, CHANNELS), "down_residual")
    g.output(mul(g, conv(g, weights, "mid", x, CHANNELS), gate, "gated"), "mid_residual")


def feeds_of_the_unets_calls(calls: Mapping[str, Sequence[Sample]]) -> list[Feeds]:
    """The UNet's latent, and what it answered in each guidance pass."""
    found = []
    for call in calls.get("unet", ()):
        noise = call.outputs["noise_pred"]
        gate = np.abs(noise).mean((2, 3), keepdims=True).astype(np.float32)
        found.append({"sample": call.feeds["sample"], "hint": noise, "gate": gate})
    return found


# No tensor of the checkpoint is its own.
NEW = Component(ComponentExport("residuals", "unet", build, ("",)), "steps", feeds_of_the_unets_calls)


@pytest.fixture(scope="module")
def made(cache: Path) -> BuildPipeline:
    """The demo's pipeline with one more component, calibrated along few trajectories."""
    model = small_model()
    few = {"prompts_per_setting": 1, "images": 1, "steps": 6}
    model = model.model_copy(update={"verification": model.verification.model_copy(update=few)})
    return BuildPipeline(model, Console(quiet=True), cache=cache, components=(*STABLE_DIFFUSION_1, NEW))


@pytest.fixture(scope="module")
def calls(made: BuildPipeline) -> tuple[Feeds, list[Feeds]]:
    """One sampling step of the verification: the input that both passes share, and those that differ."""
    first, second = (each.feeds for each in made.verification_inputs("residuals")[:2])
    assert np.array_equal(first["sample"], second["sample"])
    passes = [{name: each[name] for name in ("hint", "gate")} for each in (first, second)]
    assert all(not np.array_equal(passes[0][name], passes[1][name]) for name in passes[0])
    return {"sample": first["sample"]}, passes


def combined(first: Outputs, second: Outputs) -> Outputs:
    scale = np.float32(GUIDANCE)
    return {name: first[name] + scale * (second[name] - first[name]) for name in first}


def test_it_goes_from_export_to_the_virtual_phone(
    made: BuildPipeline,
    calls: tuple[Feeds, list[Feeds]],
    adb: AdbHost,
    host: AdbHost,
    cache: Path,
    tmp_path: Path,
) -> None:
    bundle = made.bundle(PROFILE, ["residuals"])
    verified = made.measured["residuals"]
    assert verified.binary_against_qdq is not None
    assert verified.binary_against_qdq.worst_db >= MIN_SQNR_DB
    assert ", output " in verified.binary_against_qdq.worst_input
    assert verified.binary_against_qdq.difference_db is not None, "both guidance passes are verified"

    shared, passes = calls
    by_hand = combined(*(all_outputs(bundle.fallback("residuals").parent, {**shared, **each}) for each in passes))
    cpu = CpuRunner(bundle.fallback)
    cpu.load("residuals")
    on_cpu = cpu.run_guided("residuals", shared, passes, GUIDANCE)
    assert list(on_cpu) == ["down_residual", "mid_residual"]
    emulator = EmulatorRunner(bundle.file, PROFILE.soc_model, PROFILE.htp_arch)
    emulator.load("residuals")
    on_emulator = emulator.run_guided("residuals", shared, passes, GUIDANCE)
    with (
        started(adb, tmp_path / "phone") as phone,
        deployed(Adb().phone(phone.address), bundle, ("residuals",), cache, Console(quiet=True)) as deployment,
    ):
        deployment.runner.load("residuals")
        on_phone = deployment.runner.run_guided("residuals", shared, passes, GUIDANCE)
        assert not deployment.runner.fallbacks
    for name, expected in by_hand.items():
        assert np.array_equal(on_cpu[name], expected), "the reference, with the definition's arithmetic"
        assert np.array_equal(on_phone[name], on_emulator[name]), "the phone's emulator is this one"
        # The passes' difference is four times as large in it as in either pass, and so is its error.
        assert sqnr_db(expected, on_emulator[name]) >= MIN_SQNR_DB - 12
        floats = combined(*(all_outputs(made.export("residuals").folder, {**shared, **each}) for each in passes))
        assert sqnr_db(floats[name], expected) >= 40


def test_the_model_is_recorded_once_for_all_its_components(made: BuildPipeline) -> None:
    """Its samples are beside the UNet's, call by call."""
    recorded = made.calibration()
    unet, new = (list(made.samples(recorded, name)) for name in ("unet", "residuals"))
    assert len(unet) == len(new) > 0
    assert all(np.array_equal(a["sample"], b["sample"]) for a, b in zip(unet, new, strict=True))
    assert (made.export("residuals").folder / MODEL_FILE).is_file()


def test_weights_of_four_bits_are_a_line_in_the_models_config(made: BuildPipeline, cache: Path) -> None:
    """By component and name; the bundle says so, and it is another build."""
    four = QuantizationConfig(weight_overrides={"residuals": {"conv_hint.*": 4}})
    model = made.model.model_copy(update={"quantization": four})
    options = {"rounding": "nearest", "verify": False, "components": (*STABLE_DIFFUSION_1, NEW)}
    usual, other = (BuildPipeline(each, Console(quiet=True), cache=cache, **options) for each in (made.model, model))
    assert usual.quantize("residuals").metadata["scheme"] == "W8A16"
    assert other.quantize("residuals").metadata["scheme"] == "W8A16, 1 weight at 4 bits"
    assert other.quantize("vae_decoder").key == usual.quantize("vae_decoder").key, "only what it names changes"
    assert other.bundle(PROFILE, ["residuals"]).precision == "w8a16, 1 weight at 4 bits"
    wrong = QuantizationConfig(weight_overrides={"residuals": {"conv_hnt.*": 4}})
    with pytest.raises(QuantizeError, match="No weight of the graph matches conv_hnt"):
        BuildPipeline(
            made.model.model_copy(update={"quantization": wrong}), Console(quiet=True), cache=cache, **options
        ).quantize("residuals")


def test_bit_widths_of_no_component_are_refused(made: BuildPipeline, cache: Path) -> None:
    """They would do nothing, and nobody would know."""
    typo = QuantizationConfig(weight_overrides={"unett": {"*": 4}})
    with pytest.raises(ConfigError, match="'unett', which is no component") as caught:
        BuildPipeline(made.model.model_copy(update={"quantization": typo}), Console(quiet=True), cache=cache)
    assert "Did you mean unet?" in caught.value.hint
