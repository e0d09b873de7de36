"""Our samplers against diffusers', step by step on the same predictions."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from conftest import CHECKPOINT

from qnn_sd import resources
from qnn_sd.errors import SettingError, UnknownSchedulerError, UnsupportedModelError
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers import SCHEDULERS, make_scheduler, scheduler_sources

THEIRS = {
    "dpm++2m": diffusers.DPMSolverMultistepScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler-a": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "lcm": diffusers.LCMScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
    "deis": diffusers.DEISMultistepScheduler,
    "pndm": diffusers.PNDMScheduler,
}
BASE = json.loads((CHECKPOINT / "scheduler" / "scheduler_config.json").read_text())


def prediction(sample: np.ndarray, time: float) -> np.ndarray:
    """Stands for the UNet: smooth, of about unit size, different at each time."""
    return (np.tanh(sample) * 0.8 + np.sin(sample * 3 + time / 100) * 0.3).astype(np.float32)


def assert_close(found: np.ndarray, expected: np.ndarray, largest: float) -> None:
    """Within 1e-4, or eight units in float32's last place of the largest value so far if that is more.

    The cosine schedule and zero terminal SNR start with samples of over 10,000, where float32 itself is coarser than
    1e-4, and what is left of them when the noise is gone has that error.
    """
    tolerance = max(1e-4, 8 * 2**-23 * largest)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def compare(
    name: str,
    config: dict[str, Any],
    steps: int,
    tmp_path: Path,
    settings: dict[str, Any] | None = None,
    kind: str = "",
    defined: int | None = None,
) -> None:
    """Each call of a scheduler against diffusers'.

    Args:
        name: ours.
        config: the checkpoint's, which ours reads.
        steps: how many.
        tmp_path: where diffusers reads the config.
        settings: what diffusers is told beside, that ours knows by the name.
        kind: of ``THEIRS``; "" where the name is one.
        defined: how many calls diffusers has values for; None for all.
    """
    (tmp_path / "scheduler_config.json").write_text(json.dumps({**config, **(settings or {})}))
    theirs = THEIRS[kind or name].from_pretrained(tmp_path)
    theirs.set_timesteps(steps)
    if hasattr(theirs, "set_begin_index"):
        theirs.set_begin_index(0)
    ours, seed = make_scheduler(name, config, steps), 5
    assert [index for calls in ours.calls for index in calls] == list(range(len(theirs.timesteps)))
    assert len(ours.calls) == steps
    np.testing.assert_allclose(ours.timesteps, theirs.timesteps.numpy().astype(np.float32), atol=1e-3)
    assert ours.initial_scale == pytest.approx(float(theirs.init_noise_sigma), rel=1e-5)
    generator, noise = torch.Generator("cpu").manual_seed(seed), TorchNoise(seed)
    start = torch.randn(1, 4, 8, 8, generator=generator)
    theirs_sample = start * theirs.init_noise_sigma
    ours_sample = noise.normal((1, 4, 8, 8)) * np.float32(ours.initial_scale)
    largest = float(theirs_sample.abs().max())
    extra = {"generator": generator} if "generator" in signature(theirs.step).parameters else {}
    for index, time in enumerate(theirs.timesteps[:defined]):
        scaled = theirs.scale_model_input(theirs_sample, time).numpy()
        share = float(np.abs(scaled).max() / theirs_sample.abs().max())
        assert_close(ours.scale_input(ours_sample, index), scaled, largest * share)
        predicted = prediction(scaled, float(time))
        theirs_sample = theirs.step(torch.from_numpy(predicted), time, theirs_sample, **extra).prev_sample
        ours_sample = ours.step(predicted, index, ours_sample, noise)
        assert ours_sample.dtype == np.float32
        largest = max(largest, float(theirs_sample.abs().max()))
        assert_close(ours_sample, theirs_sample.numpy(), largest)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50])
@pytest.mark.parametrize("name", THEIRS)
def test_steps_are_diffusers(name: str, steps: int, tmp_path: Path) -> None:
    compare(name, BASE, steps, tmp_path)


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("name", THEIRS)
def test_beta_schedules_and_spacings(name: str, betas: str, spacing: str, tmp_path: Path) -> None:
    compare(name, {**BASE, "beta_schedule": betas, "timestep_spacing": spacing}, 20, tmp_path)


@pytest.mark.parametrize("name", THEIRS)
def test_v_prediction(name: str, tmp_path: Path) -> None:
    compare(name, {**BASE, "prediction_type": "v_prediction"}, 20, tmp_path)


@pytest.mark.parametrize("name", ["ddim", "lcm", "heun"])
def test_clipped_samples(name: str, tmp_path: Path) -> None:
    compare(name, {**BASE, "clip_sample": True, "set_alpha_to_one": True, "steps_offset": 0}, 20, tmp_path)


@pytest.mark.parametrize("name", THEIRS)
def test_defaults_of_a_bare_config(name: str, tmp_path: Path) -> None:
    """What a config leaves out is each scheduler's own default, as in diffusers."""
    bare = {key: BASE[key] for key in ("beta_start", "beta_end", "beta_schedule")}
    compare(name, bare, 20, tmp_path)


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_impossible_steps_are_refused(steps: int) -> None:
    with pytest.raises(SettingError, match="not possible"):
        make_scheduler("euler", BASE, steps)


def test_lcm_takes_no_more_steps_than_it_was_distilled_for() -> None:
    with pytest.raises(SettingError, match="not possible with lcm"):
        make_scheduler("lcm", BASE, 51)


def test_unknown_names_and_variants_are_refused() -> None:
    with pytest.raises(UnknownSchedulerError) as caught:
        make_scheduler("eulr", BASE, 20)
    assert "Did you mean euler?" in caught.value.hint
    for change in (
        {"beta_schedule": "cosine"},
        {"prediction_type": "sample"},
        {"use_beta_sigmas": True},
        {"timestep_spacing": "random"},
    ):
        with pytest.raises(UnsupportedModelError, match=next(iter(change))):
            make_scheduler("euler", {**BASE, **change}, 20)


@pytest.mark.parametrize("key", ["beta_end", "num_train_timesteps", "steps_offset", "clip_sample_range"])
@pytest.mark.parametrize("value", ["huge", None, [1], True, float("nan")])
def test_what_is_no_number_is_named(key: str, value: object) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{key} is .* which is no number"):
        make_scheduler("ddim", {**BASE, "clip_sample": True, key: value}, 20)


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "lcm"])
def test_as_many_steps_as_were_trained_end_in_a_finite_sample(name: str) -> None:
    """Rounded, two of a thousand timesteps can be the same: diffusers' DPM-Solver++ gives NaN there."""
    steps = 1000
    scheduler, noise = make_scheduler(name, BASE, steps), TorchNoise(1)
    sample = noise.normal((1, 4, 4, 4)) * np.float32(scheduler.initial_scale)
    for index in range(len(scheduler.timesteps)):
        predicted = prediction(scheduler.scale_input(sample, index), float(scheduler.timesteps[index]))
        sample = scheduler.step(predicted, index, sample, noise)
    assert np.isfinite(sample).all()


def test_a_schedulers_sources_are_its_own_and_what_it_builds_on() -> None:
    """They decide whether recorded inputs are still those of today's code: no other scheduler's is among them."""
    assert scheduler_sources("euler-a-karras") == tuple(
        f"generate/schedulers/{name}.py" for name in ("base", "euler", "noise_levels", "settings")
    )
    for name in SCHEDULERS:
        assert all((resources.PACKAGE / source).is_file() for source in scheduler_sources(name))
