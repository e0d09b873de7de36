"""Spacings, orders and variants of the samplers against diffusers', and zero terminal SNR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler, EulerDiscreteScheduler
from diffusers.guiders import ClassifierFreeGuidance
from test_schedulers import BASE, THEIRS, compare, prediction

from qnn_sd.generate.guidance import guided_steps, unet_calls
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers import make_scheduler

# As diffusers' table of schedulers spells them.
SPACINGS: dict[str, dict[str, Any]] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "lu": {"use_lu_lambdas": True},
    "sgm-uniform": {"timestep_spacing": "trailing"},
    "uniform": {"timestep_spacing": "linspace"},
    "leading": {"timestep_spacing": "leading"},
}
BY_LEVEL = ("dpm++2m", "unipc", "deis", "euler", "heun")
PAIRS = [
    *(
        (name, spacing)
        for name in BY_LEVEL
        for spacing in ("karras", "exponential", "sgm-uniform", "uniform", "leading")
    ),
    *((name, spacing) for name in ("euler-a", "ddim", "pndm") for spacing in ("sgm-uniform", "uniform", "leading")),
    ("dpm++2m", "lu"),
]
SDE = {"algorithm_type": "sde-dpmsolver++"}
NAMED = {
    "dpm++2m-sde": ("dpm++2m", SDE),
    "dpm++2m-sde-heun": ("dpm++2m", {**SDE, "solver_type": "heun"}),
    "dpm++3m": ("dpm++2m", {"solver_order": 3}),
    "dpm++3m-sde": ("dpm++2m", {**SDE, "solver_order": 3}),
    "unipc-bh2": ("unipc", {"solver_type": "bh2"}),
}


@pytest.mark.parametrize("steps", [3, 20])
@pytest.mark.parametrize(("name", "spacing"), PAIRS)
def test_a_spacing_by_name_is_diffusers(name: str, spacing: str, steps: int, tmp_path: Path) -> None:
    compare(f"{name}-{spacing}", BASE, steps, tmp_path, SPACINGS[spacing], name)


@pytest.mark.parametrize(
    ("name", "spacing", "betas"),
    [
        (*pair, betas)
        for pair in PAIRS
        for betas in ("linear", "squaredcos_cap_v2")
        if pair[1] in ("karras", "lu") or (pair[1], betas) == ("exponential", "linear")
    ],
)
def test_spacings_on_other_beta_schedules(name: str, spacing: str, betas: str, tmp_path: Path) -> None:
    compare(f"{name}-{spacing}", {**BASE, "beta_schedule": betas}, 12, tmp_path, SPACINGS[spacing], name)


@pytest.mark.parametrize("name", NAMED)
def test_a_name_of_a_variant_is_diffusers_with_its_settings(name: str, tmp_path: Path) -> None:
    kind, settings = NAMED[name]
    compare(name, BASE, 20, tmp_path, settings, kind)
    compare(f"{name}-karras", BASE, 10, tmp_path, {**settings, "use_karras_sigmas": True}, kind)


@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("algorithm", ["dpmsolver++", "sde-dpmsolver++"])
def test_variants_of_dpm_solver(algorithm: str, order: int, solver: str, final: str, tmp_path: Path) -> None:
    own = {"algorithm_type": algorithm, "solver_order": order, "solver_type": solver, "final_sigmas_type": final}
    compare("dpm++2m", {**BASE, **own}, 7, tmp_path)
    compare("dpm++2m", {**BASE, **own, "lower_order_final": False, "euler_at_final": solver == "heun"}, 16, tmp_path)


@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("predicts_clean", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("solver", ["bh1", "bh2"])
def test_variants_of_unipc(solver: str, order: int, predicts_clean: bool, final: str, tmp_path: Path) -> None:
    own = {"solver_type": solver, "solver_order": order, "predict_x0": predicts_clean, "final_sigmas_type": final}
    # diffusers multiplies 0 with infinity where the last step of these ends at no noise.
    undefined = final == "zero" and (solver == "bh1" or not predicts_clean)
    compare("unipc", {**BASE, **own}, 12, tmp_path, defined=11 if undefined else None)
    more = {"disable_corrector": [0, 3], "use_karras_sigmas": True}
    compare("unipc", {**BASE, **own, **more}, 5, tmp_path, defined=4 if undefined else None)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_of_deis(order: int, tmp_path: Path) -> None:
    compare("deis", {**BASE, "solver_order": order}, 20, tmp_path)
    compare("deis", {**BASE, "solver_order": order, "use_karras_sigmas": True, "lower_order_final": False}, 6, tmp_path)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("pndm", {"skip_prk_steps": False}),
        ("pndm", {"skip_prk_steps": False, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}),
        ("dpm++2m", {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}),
        ("euler", {"final_sigmas_type": "sigma_min", "trained_betas": np.linspace(1e-4, 0.02, 1000).tolist()}),
        *(
            (name, {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0})
            for name in ("dpm++2m", "unipc", "euler", "heun")
        ),
        *(
            (name, {"thresholding": True, "sample_max_value": 1.5})
            for name in ("dpm++2m", "unipc", "deis", "ddim", "lcm")
        ),
    ],
)
def test_settings_of_their_own(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    compare(name, {**BASE, **config}, 20, tmp_path)


ZERO_SNR = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}


@pytest.mark.parametrize("steps", [4, 20])
@pytest.mark.parametrize("name", THEIRS)
def test_zero_terminal_snr(name: str, steps: int, tmp_path: Path) -> None:
    """Also of those that don't know it, in diffusers neither: they must not choke on it."""
    compare(name, {**BASE, **ZERO_SNR}, steps, tmp_path)


@pytest.mark.parametrize(("name", "spacing"), [pair for pair in PAIRS if pair[0] in ("dpm++2m", "euler", "unipc")])
def test_zero_terminal_snr_with_every_spacing(name: str, spacing: str, tmp_path: Path) -> None:
    compare(f"{name}-{spacing}", {**BASE, **ZERO_SNR}, 20, tmp_path, SPACINGS[spacing], name)


def test_euler_a_goes_down_karras_levels() -> None:
    """diffusers' ancestral scheduler has no spacings of levels: it is given those of the plain one."""
    levels = EulerDiscreteScheduler.from_config({**BASE, "use_karras_sigmas": True})
    theirs = EulerAncestralDiscreteScheduler.from_config(BASE)
    levels.set_timesteps(10)
    theirs.set_timesteps(10)
    theirs.sigmas, theirs.timesteps = levels.sigmas, levels.timesteps
    ours, noise = make_scheduler("euler-a-karras", BASE, 10), TorchNoise(3)
    np.testing.assert_allclose(ours.timesteps, levels.timesteps, atol=1e-3)
    generator = torch.Generator("cpu").manual_seed(3)
    sample = torch.randn(1, 4, 8, 8, generator=generator) * levels.init_noise_sigma
    found = noise.normal((1, 4, 8, 8)) * np.float32(ours.initial_scale)
    for index, time in enumerate(theirs.timesteps):
        predicted = prediction(theirs.scale_model_input(sample, time).numpy(), float(time))
        sample = theirs.step(torch.from_numpy(predicted), time, sample, generator=generator).prev_sample
        found = ours.step(predicted, index, found, noise)
    np.testing.assert_allclose(found, sample, atol=1e-4)


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.2, 0.9), (0.0, 0.5), (0.33, 0.34), (0.5, 1.0)])
def test_guided_steps_are_those_of_diffusers_guider(interval: tuple[float, float]) -> None:
    guider = ClassifierFreeGuidance(start=interval[0], stop=interval[1])
    for steps in (1, 4, 20, 50):
        expected = []
        for step in range(steps):
            guider.set_state(step=step, num_inference_steps=steps, timestep=torch.tensor(0))
            if guider.num_conditions == 2:
                expected.append(step)
        assert list(guided_steps(interval, steps)) == expected


def test_calls_of_the_unet_are_counted() -> None:
    def calls(name: str, interval: tuple[float, float], **config: Any) -> int:
        return unet_calls(make_scheduler(name, {**BASE, **config}, 20), 2, interval)

    assert calls("dpm++2m", (0.0, 1.0)) == 40
    assert calls("dpm++2m", (0.2, 0.9)) == 20 + 14
    # Two calls a step, one in the last.
    assert calls("heun", (0.0, 1.0)) == 78
    assert calls("heun", (0.5, 1.0)) == 20 + 2 * 19
    # The first step is done twice; or three have four calls.
    assert calls("pndm", (0.0, 1.0)) == 42
    assert calls("pndm", (0.5, 1.0)) == 21 + 10
    assert calls("pndm", (0.0, 1.0), skip_prk_steps=False) == 2 * (12 + 17)
    assert unet_calls(make_scheduler("heun", BASE, 20), 1, (0.2, 0.9)) == 39


def test_0_29_of_100_steps_are_29() -> None:
    assert guided_steps((0.29, 0.57), 100) == range(29, 57)
