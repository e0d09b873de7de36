"""One checkpoint's scheduler config read by every sampler: its own settings, what is ignored, refused, and said."""

from __future__ import annotations

import json
import re
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import click
import diffusers
import numpy as np
import pytest
import torch
from cli_here import CliHere
from click.core import ParameterSource
from conftest import CHECKPOINT
from diffusers import StableDiffusionPipeline
from PIL import Image
from test_schedulers import BASE, THEIRS

from qnn_sd.cli.checkpoint_scheduler import quantized_warning, with_checkpoints_scheduler
from qnn_sd.cli.run import run_command
from qnn_sd.cli.value_types import Prediction
from qnn_sd.console import Console
from qnn_sd.errors import SettingError, UnknownSchedulerError, UnsupportedModelError
from qnn_sd.export.checkpoint.scheduler_config import as_the_pipeline_reads
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.schedulers import (
    SCHEDULERS,
    all_names,
    full_name,
    known_scheduler,
    make_scheduler,
    remarks,
    scheduler_named,
    workable_scheduler,
)
from qnn_sd.generate.schedulers.base import VARIANTS
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.targets import CpuRunner

PROMPT = "a red circle on a blue background"
# As checkpoints have them in the wild.
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
DPM = {**NOISE, "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++", "solver_order": 2}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
CONFIGS: dict[str, dict[str, Any]] = {
    "deis": {
        **NOISE,
        **{"_class_name": "DEISMultistepScheduler", "algorithm_type": "deis", "solver_type": "logrho"},
        **{"solver_order": 2, "timestep_spacing": "leading", "use_karras_sigmas": False},
    },
    "unipc": {
        **NOISE,
        **{"_class_name": "UniPCMultistepScheduler", "solver_order": 3, "solver_type": "bh2", "predict_x0": True},
    },
    "karras": {**DPM, "use_karras_sigmas": True},
    "sde": {**DPM, "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    "sigma_min": {**DPM, "final_sigmas_type": "sigma_min", "solver_order": 3, "solver_type": "heun"},
    "exponential": {
        **NOISE,
        "_class_name": "EulerDiscreteScheduler",
        "use_exponential_sigmas": True,
        "sigma_min": 0.05,
    },
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_scheduler_has_the_variants_that_diffusers_has(name: str) -> None:
    theirs = signature(THEIRS[name].__init__).parameters
    assert known_scheduler(name).variants == {key for key in VARIANTS if key in theirs}
    for key, neutral in VARIANTS.items():
        if key in theirs and theirs[key].default is not None:
            assert theirs[key].default in (*neutral, "deis", "logrho")


@pytest.fixture(scope="module")
def judge() -> StableDiffusionPipeline:
    made = StableDiffusionPipeline.from_pretrained(CHECKPOINT, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize(
    ("config", "scheduler"),
    [
        *((config, "euler") for config in ("deis", "unipc", "karras", "sde", "exponential")),
        *((config, "dpm++2m") for config in ("unipc", "karras", "sde", "sigma_min")),
        ("deis", "deis"),
    ],
)
def test_a_config_gives_the_image_of_diffusers(
    config: str, scheduler: str, judge: StableDiffusionPipeline, pipeline: BuildPipeline
) -> None:
    judge.scheduler = THEIRS[scheduler].from_config(CONFIGS[config])
    generator = torch.Generator("cpu").manual_seed(7)
    expected = judge(PROMPT, num_inference_steps=4, guidance_scale=4.0, generator=generator, height=128, width=128)
    bundle = pipeline.cpu_bundle("float")
    loop = TextToImage(
        CpuRunner(bundle.file, optimize=True),
        bundle.info.model_copy(update={"scheduler": CONFIGS[config]}),
        bundle.tokenizer,
    )
    [image] = loop.generate(Request(PROMPT, steps=4, guidance=4.0, scheduler=scheduler, seed=7)).images
    assert psnr_db(np.asarray(expected.images[0]), image) >= 55


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"steps_offset": 0, "clip_sample": True}, "steps_offset 0 as 1, clip_sample True as False"),
        ({"steps_offset": 1, "clip_sample": False}, ""),
        ({"_class_name": "PNDMScheduler", "steps_offset": 3, "timestep_spacing": "leading"}, "steps_offset 3 as 1"),
        ({"_class_name": "EulerDiscreteScheduler", "steps_offset": 0, "timestep_spacing": "linspace"}, ""),
        ({"_class_name": "LCMScheduler", "steps_offset": 0, "clip_sample": False}, ""),
        ({"_class_name": "PNDMScheduler"}, ""),
        ({}, ""),
    ],
)
def test_a_folders_config_is_read_as_the_pipeline_reads_it(
    config: dict[str, Any], said: str, judge: StableDiffusionPipeline
) -> None:
    """diffusers' pipeline sets two settings itself: clipped latents would give other images, silently."""
    noise = {key: value for key, value in NOISE.items() if key != "steps_offset"}
    config = {"_class_name": "DDIMScheduler", **noise, **config}
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    parts = {name: getattr(judge, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    made = StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    lines: list[str] = []
    ours = as_the_pipeline_reads(config, lines.append)
    for key in ("steps_offset", "clip_sample"):
        assert ours.get(key) == made.scheduler.config.get(key)
    assert [said in line for line in lines] == [True] * bool(said)


def test_a_config_without_a_noise_schedule_is_said() -> None:
    """diffusers would take betas that no Stable Diffusion was trained with; another formulation is neither."""
    lines: list[str] = []
    as_the_pipeline_reads({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, lines.append)
    as_the_pipeline_reads({"beta_start": 0.00085, "beta_end": 0.012, "_class_name": ["x"]}, lines.append)
    as_the_pipeline_reads({"trained_betas": [0.1]}, lines.append)
    assert "(FlowMatchEulerDiscreteScheduler) lacks beta_start, beta_end, beta_schedule: Stable" in lines[0]
    assert "lacks beta_schedule: Stable Diffusion's" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("name", "config", "full", "said"),
    [
        ("dpm++2m", BASE, "dpm++2m", []),
        ("euler", BASE, "euler", []),
        ("dpm++2m", CONFIGS["karras"], "dpm++2m-karras", ["dpm++2m is dpm++2m-karras"]),
        ("dpm++2m-uniform", CONFIGS["karras"], "dpm++2m-uniform", []),
        ("dpm++2m", CONFIGS["sde"], "dpm++2m-sde-karras", ["dpm++2m is dpm++2m-sde-karras"]),
        ("euler", CONFIGS["sde"], "euler-karras", ["euler ignores algorithm_type of", "euler is euler-karras"]),
        ("dpm++2m", {**DPM, "solver_order": 3}, "dpm++3m", ["dpm++2m is dpm++3m"]),
        ("euler", CONFIGS["deis"], "euler", ["euler ignores algorithm_type, solver_type of"]),
        ("deis", CONFIGS["deis"], "deis", []),
        ("dpm++2m", CONFIGS["deis"], "dpm++2m", []),
        ("ddim", CONFIGS["karras"], "ddim", ["ddim ignores use_karras_sigmas of", "ddim clips the clean latent"]),
        ("ddim", {**NOISE, "clip_sample": False}, "ddim", []),
        ("euler-a-karras", CONFIGS["karras"], "euler-a-karras", ["euler-a-karras ignores use_karras_sigmas of"]),
        ("heun", {**NOISE, "rescale_betas_zero_snr": True}, "heun", ["heun has no zero terminal SNR"]),
        ("euler", {**NOISE, "rescale_betas_zero_snr": True}, "euler", []),
    ],
)
def test_what_a_config_makes_of_a_scheduler_is_said(
    name: str, config: dict[str, Any], full: str, said: list[str]
) -> None:
    assert full_name(name, config) == full
    lines = remarks(name, config)
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line


def test_the_full_name_is_the_same_scheduler() -> None:
    for config in CONFIGS.values():
        for name in ("dpm++2m", "euler"):
            one, two = (make_scheduler(each, config, 10) for each in (name, full_name(name, config)))
            np.testing.assert_array_equal(one.timesteps, two.timesteps)
            assert vars(one).keys() == vars(two).keys()


@pytest.mark.parametrize(
    ("name", "config", "what", "cure"),
    [
        ("dpm++2m", {"use_beta_sigmas": True}, "use_beta_sigmas is True", "dpm++2m-sgm-uniform"),
        ("heun", {"use_beta_sigmas": True}, "use_beta_sigmas is True", "heun-sgm-uniform"),
        ("dpm++2m", {"algorithm_type": "dpmsolver"}, "algorithm_type is 'dpmsolver'", "euler"),
        ("dpm++2m", {"use_flow_sigmas": True}, "use_flow_sigmas is True", "euler"),
        ("unipc", {"solver_p": {}, "solver_type": "logn"}, "solver_type is 'logn'", "euler"),
        ("dpm++2m", {"solver_order": 4}, "solver_order is 4", "euler"),
        ("euler", {"interpolation_type": "log_linear"}, "interpolation_type is 'log_linear'", "dpm++2m"),
        ("ddim", {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, "rescale_betas_zero", "dpm++2m"),
        ("euler", {"use_karras_sigmas": True, "use_exponential_sigmas": True}, "two spacings", "euler-sgm-uniform"),
    ],
)
def test_what_is_refused_names_a_scheduler_that_works(name: str, config: dict[str, Any], what: str, cure: str) -> None:
    """And never asks for another checkpoint: that would be another picture."""
    config = {**NOISE, **config}
    with pytest.raises(UnsupportedModelError, match=what) as caught:
        make_scheduler(name, config, 8)
    assert caught.value.hint == f"Choose a scheduler that works with it: --scheduler {cure}"
    make_scheduler(cure, config, 8)
    assert workable_scheduler(name, config) == cure
    assert workable_scheduler("euler-a", {**NOISE, "solver_order": 4}) == "euler-a"


@pytest.mark.parametrize(
    ("name", "config", "typed", "cure"),
    [
        (
            "ddim",
            ZERO_SNR,
            True,
            "Leave --prediction epsilon out. Or choose a scheduler that works with it: --scheduler",
        ),
        ("ddim", ZERO_SNR, False, "Choose a scheduler that works with it: --scheduler"),
        # What is typed has no part in that.
        ("euler", {"interpolation_type": "log_linear"}, True, "Choose a scheduler that works with it: --scheduler"),
    ],
)
def test_a_typed_prediction_is_blamed_where_it_is_in_the_way(
    name: str, config: dict[str, Any], typed: bool, cure: str
) -> None:
    """A single file with a marker has no scheduler_config.json of which the message could speak."""
    context = click.Context(run_command)
    context.params["prediction"] = "epsilon"
    context.set_parameter_source("prediction", ParameterSource.COMMANDLINE if typed else ParameterSource.DEFAULT)
    request = Request("a circle", steps=8, scheduler=name)
    with context.scope(), pytest.raises(UnsupportedModelError) as caught:
        with_checkpoints_scheduler(Console(quiet=True), request, {**NOISE, **config}, lambda _guidance: 2)
    assert caught.value.hint.startswith(cure)
    if name == "ddim":
        assert "scheduler_config" not in f"{caught.value.what} {caught.value.why}"
        assert "divide by zero at the first step" in caught.value.why


@pytest.mark.parametrize("config", [{"prediction_type": "sample"}, {"beta_schedule": "sigmoid"}])
def test_what_no_scheduler_takes_is_said_to_be_so(config: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModelError, match=next(iter(config))) as caught:
        make_scheduler("dpm++2m", {**NOISE, **config}, 8)
    assert caught.value.hint.startswith("No scheduler of qnn-sd can")
    assert workable_scheduler("dpm++2m", config) == "dpm++2m"


@pytest.mark.parametrize("betas", [[0.1, 0.2], "many", [[0.1] * 1000], [float("nan")] * 1000])
def test_betas_that_do_not_fit_are_named(betas: object) -> None:
    with pytest.raises(UnsupportedModelError, match="aren't 1,000 numbers"):
        make_scheduler("euler", {**NOISE, "trained_betas": betas}, 8)


@pytest.mark.parametrize(
    ("name", "config", "what"),
    [
        ("euler", {"num_train_timesteps": 10**9}, "num_train_timesteps is 1000000000"),
        ("euler", {"num_train_timesteps": 99.5}, "num_train_timesteps is 99.5"),
        ("ddim", {"steps_offset": 1e300}, "steps_offset is 1e"),
        ("pndm", {"steps_offset": -5}, "steps_offset is -5"),
        ("deis", {"beta_start": 2.5}, "beta_start is 2.5"),
        ("dpm++2m", {"beta_end": -1}, "beta_end is -1"),
        ("euler", {"trained_betas": [0.1] * 999 + [1.5]}, "trained_betas is from 0.1 to 1.5"),
        ("heun", {"use_karras_sigmas": True, "sigma_min": 0}, "sigma_min is 0"),
        ("dpm++2m", {"use_exponential_sigmas": True, "sigma_max": -1}, "sigma_max is -1"),
        ("unipc", {"disable_corrector": 2}, "disable_corrector is 2"),
        ("lcm", {"original_inference_steps": 2000}, "original_inference_steps is 2000"),
        ("dpm++2m", {"lambda_min_clipped": 1e9}, "a time of the UNet is -"),
        ("unipc", {"disable_corrector": [[0]]}, "disable_corrector is"),
    ],
)
def test_what_nothing_can_be_computed_with_is_named(name: str, config: dict[str, Any], what: str) -> None:
    """diffusers runs out of memory, fails inside or paints NaN with these."""
    with pytest.raises(UnsupportedModelError, match=what) as caught:
        make_scheduler(name, {**NOISE, **config}, 8)
    assert re.search("--scheduler |as its author published it", caught.value.hint)


def test_a_range_that_clips_nothing_is_not_read() -> None:
    """As in diffusers, which reads it where it clips."""
    config = {**NOISE, "clip_sample": False, "clip_sample_range": None, "sigma_min": -1}
    for name in ("ddim", "lcm", "heun", "euler"):
        make_scheduler(name, config, 8)


def test_runge_kuttas_steps_need_four() -> None:
    with pytest.raises(SettingError, match="3 steps are not possible with pndm"):
        make_scheduler("pndm", NOISE, 3)


@pytest.mark.parametrize(
    ("spelled", "own"),
    [
        *(
            (name, "dpm++2m-karras")
            for name in ("DPM++ 2M Karras", "dpmpp_2m_karras", "k_dpmpp_2m_ka", "dpmpp_2m + karras")
        ),
        *(
            (name, "dpm++2m-karras")
            for name in ("DPM++ 2M Automatic", "dpmpp_2m_k", "DPMSolverMultistepScheduler Karras")
        ),
        *((name, "dpm++2m-sde-karras") for name in ("DPM++ 2M SDE Karras", "dpmpp_2m_sde_gpu karras")),
        *((name, "dpm++2m-sde") for name in ("DPM++ 2M SDE", "sde-dpmsolver++", "sample_dpmpp_2m_sde")),
        ("DPM++ 2M SDE Heun Exponential", "dpm++2m-sde-heun-exponential"),
        ("DPM++ 3M SDE Exponential", "dpm++3m-sde-exponential"),
        ("DPM++ 2M SDE Lu", "dpm++2m-sde-lu"),
        *((name, "dpm++2m-sgm-uniform") for name in ("DPM++ 2M SGM Uniform", "dpmpp_2m/simple", "DPM++ 2M Trailing")),
        *((name, "euler-uniform") for name in ("euler normal", "Euler Uniform")),
        *((name, "euler-a-karras") for name in ("Euler a Karras", "euler_ancestral, karras")),
        *((name, "unipc") for name in ("UniPC", "uni_pc", "UniPCMultistepScheduler", "UniPCMultistep")),
        ("uni_pc_bh2", "unipc-bh2"),
        # Local Dream's, and the spacing elsewhere than at the end, or twice.
        *(("dpm", "dpm++2m"), ("dpm_karras", "dpm++2m-karras"), ("dpm_sde_karras", "dpm++2m-sde-karras")),
        *((name, "dpm++2m-sde-karras") for name in ("DPM++ 2M Karras SDE", "Karras DPM++ 2M SDE")),
        *(
            (name, "dpm++2m-karras")
            for name in ("DPM++ 2M Karras Automatic", "DPM++ 2M Karras Karras", "DPM 2M Karras")
        ),
        *((name, "heun") for name in ("Heun", "k_heun", "HeunDiscreteScheduler")),
        *((name, "deis") for name in ("DEIS", "DEISMultistepScheduler")),
        *((name, "pndm") for name in ("PNDM", "PLMS", "PNDMScheduler")),
        ("ddim ddim_uniform", "ddim-leading"),
        ("LCM SGM Uniform", "lcm"),
    ],
)
def test_spellings(spelled: str, own: str) -> None:
    assert scheduler_named(spelled) == own
    assert own in (*all_names(), "dpm++2m-sde-lu", "euler-uniform", "ddim-leading")


@pytest.mark.parametrize(
    ("spelled", "nearest"),
    [
        ("DPM++ SDE Karras", "dpm++2m-sde-karras"),
        ("DPM++ 2S a", "dpm++2m-sde"),
        ("DPM2 a Karras", "euler-a-karras"),
        ("LMS", "dpm++2m"),
        ("ddpm", "euler-a"),
        ("TCDScheduler", "lcm"),
        ("DPM++ 2M Beta", "dpm++2m-sgm-uniform"),
        ("euler kl_optimal", "euler-karras"),
        ("ddim karras", "euler-karras"),
        ("lcm karras", "lcm"),
        ("euler lu", "euler-karras"),
        *(("IPNDM Karras", "dpm++2m-karras"), ("DDIM CFG++ Karras", "euler-karras"), ("PLMS Karras", "dpm++2m-karras")),
        *(("res_multistep_ancestral karras", "dpm++2m-sde-karras"), ("Heun++ Karras", "heun-karras")),
        *(("DPM++ Karras", "dpm++2m-karras"), ("unipc beta57", "unipc-sgm-uniform")),
    ],
)
def test_what_is_not_built_is_named_with_the_nearest(spelled: str, nearest: str) -> None:
    with pytest.raises(UnknownSchedulerError) as caught:
        scheduler_named(spelled)
    assert caught.value.what == f"The scheduler {spelled!r} isn't built"
    assert caught.value.hint == f"The nearest that is built: --scheduler {nearest}"
    assert scheduler_named(nearest) == nearest
    why = caught.value.why or ""
    assert all(name in why for name in SCHEDULERS) or "distilled for its times" in why
    assert re.search("The nearest has another (sampler|spacing): its image will differ", why)


@pytest.mark.parametrize(
    ("spelled", "near"),
    [
        *(("dpm++ 2m karas", "dpm++2m-karras"), ("unipc exponentail", "unipc-exponential"), ("eulr", "euler")),
        *(("2M Karras", "dpm++2m-karras"), ("foo karras", "dpm++2m-karras")),
    ],
)
def test_a_slip_keeps_its_spacing(spelled: str, near: str) -> None:
    with pytest.raises(UnknownSchedulerError) as caught:
        scheduler_named(spelled)
    assert f"Did you mean {near}?" in caught.value.hint


@pytest.mark.parametrize("spacing", ["karras", "exponential", "sgm_uniform"])
def test_a_spacing_alone_is_told_from_a_sampler(spacing: str) -> None:
    with pytest.raises(UnknownSchedulerError) as caught:
        scheduler_named(spacing)
    assert caught.value.hint.endswith(f"--scheduler dpm++2m-{spacing.replace('_', '-')}")


def test_every_name_is_its_own() -> None:
    names = list(all_names())
    assert len(names) == len(set(names)) > 40
    for name in names:
        assert scheduler_named(name) == name
        assert len(make_scheduler(name, BASE, 5).calls) == 5


@pytest.mark.parametrize(
    ("config", "asked", "warned"),
    [
        ({}, {"scheduler": "dpm++2m-karras"}, ""),
        ({}, {"scheduler": "lcm", "guidance": 4.0}, "lcm with guidance 4"),
        ({}, {"scheduler": "lcm", "guidance": 1.5}, ""),
        ({"_class_name": "LCMScheduler"}, {"scheduler": "lcm", "guidance": 4.0}, ""),
        (ZERO_SNR, {"scheduler": "euler"}, "epsilon with zero terminal SNR"),
        ({**ZERO_SNR, "prediction_type": "v_prediction"}, {"scheduler": "euler"}, ""),
        ({**ZERO_SNR, "timestep_spacing": "leading"}, {"scheduler": "euler"}, ""),
    ],
)
def test_what_quantized_graphs_were_not_calibrated_for_is_said(
    config: dict[str, Any], asked: dict[str, Any], warned: str, pipeline: BuildPipeline
) -> None:
    """On the demo the least PSNR against float falls to 23 dB with the first, to 10 dB with the second."""
    info = pipeline.cpu_bundle("float").info
    info = info.model_copy(update={"scheduler": {**NOISE, **config}})
    request = Request(PROMPT, steps=8, **asked)
    assert quantized_warning(request, info) is None
    parts = {name: part.model_copy(update={"kind": "qdq"}) for name, part in info.components.items()}
    found = quantized_warning(request, info.model_copy(update={"components": parts}))
    assert (found or "").startswith(warned)
    assert bool(found) == bool(warned)


@pytest.mark.parametrize(
    ("typed", "kind"),
    [("v_prediction", "v"), ("V-Pred", "v"), ("eps", "epsilon"), ("Epsilon", "epsilon"), ("v", "v")],
)
def test_predictions_as_people_spell_them(typed: str, kind: str) -> None:
    assert Prediction(["epsilon", "v"]).convert(typed, None, None) == kind
    with pytest.raises(click.BadParameter):
        Prediction(["epsilon", "v"]).convert("sample", None, None)


def checkpoint(folder: Path, config: dict[str, Any]) -> str:
    """The demo's checkpoint with another scheduler config."""
    folder.mkdir()
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        (folder / part).symlink_to(CHECKPOINT / part)
    shutil.copy(CHECKPOINT / "model_index.json", folder)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    return str(folder)


def test_the_command_with_other_configs(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    pipeline.cpu_bundle("float")
    run = ("run", PROMPT, "--target", "cpu", "--steps", "4", "--seed", "7")
    sde = checkpoint(cli_here.folder / "sde", CONFIGS["sde"])
    said = cli_here(*run, "--checkpoint", sde)
    assert said.returncode == 0
    assert "dpm++2m is dpm++2m-sde-karras" in said.stderr
    texts = Image.open(cli_here.folder / "out.png").text
    assert texts["scheduler"] == "dpm++2m-sde-karras"
    assert "Steps: 4, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 4," in texts["parameters"]
    again = cli_here("run", "--like", "out.png", "--checkpoint", sde)
    assert "out-again.png has the same pixels as out.png" in again.stdout + again.stderr
    beta = checkpoint(cli_here.folder / "beta", {**DPM, "use_beta_sigmas": True})
    # Before anything is built.
    told = cli_here.refused(11, *run, "--checkpoint", beta)
    assert "use_beta_sigmas is True" in told
    assert "--scheduler dpm++2m-sgm-uniform" in told
    assert "scheduler_config.json:" not in told
    assert cli_here(*run, "--checkpoint", beta, "--scheduler", "euler-a").returncode == 0


def test_the_command_guides_a_part_of_the_steps(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    bundle = pipeline.cpu_bundle("float")
    run = ("run", PROMPT, "--target", "cpu", "--steps", "4", "--seed", "7")
    document = cli_here.json(*run, "--guidance-interval", "0.25:0.75")
    assert document["components"]["unet"]["calls"] == 6
    assert document["images"][0]["metadata"]["guidance_interval"] == [0.25, 0.75]
    said = cli_here("run", "--like", "out.png", "-o", "again.png")
    assert "guidance on steps 2 to 3 of 4: 6 UNet calls an image instead of 8" in said.stderr
    assert "again.png has the same pixels as out.png" in said.stdout + said.stderr
    packed = cli_here("run", *run[1:2], "--bundle", str(bundle.folder), *run[4:], "--guidance-interval", "0.25:0.75")
    assert "guidance on steps 2 to 3 of 4: 6 UNet calls" in packed.stderr
    plain = cli_here.json(*run, "-o", "plain.png")
    assert plain["components"]["unet"]["calls"] == 8
    assert plain["images"][0]["metadata"]["guidance_interval"] is None
    # By hand: guided and not, each step from the other's latent.
    kept: list[np.ndarray] = []

    class Switched(CpuRunner):
        def run_guided(self, component: str, feeds: Any, passes: Any, guidance: float) -> Any:
            kept.append(feeds["timestep"])
            return super().run_guided(component, feeds, passes if len(kept) in (2, 3) else passes[1:], guidance)

    loop = TextToImage(Switched(bundle.file, optimize=True), bundle.info, bundle.tokenizer)
    [image] = loop.generate(Request(PROMPT, steps=4, guidance=4.0, seed=7)).images
    np.testing.assert_array_equal(image, np.asarray(Image.open(cli_here.folder / "out.png")))
    assert "changes nothing" in cli_here(*run, "--guidance", "1", "--guidance-interval", "0:0.5").stderr
    for text in ("0.9:0.2", "0:1.5", "0.5", "a:b", "-0.1:0.5", "0.5:0.5"):
        assert "--guidance-interval 0.2:0.9" in cli_here.refused(3, *run, f"--guidance-interval={text}")
    for text in ("0%-50%", "0-50%", "0:0.5", "0%:0.5", "0:50%"):
        assert "steps 1 to 2 of 4" in cli_here(*run, "--guidance-interval", text, "--dry-run").stderr
    one = cli_here("run", "--like", "again.png", "-o", "one.png", "--guidance-interval", "0.75:1")
    assert "--guidance-interval '0.75:1' instead of the image's '0.25:0.75'" in one.stderr
    assert "guidance on step 4 of 4: 5 UNet calls" in one.stderr
