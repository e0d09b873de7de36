"""Every scheduler by spacing against diffusers: the largest difference over 20 steps.

    python benchmarks/schedulers.py [--quantized]

Both get the same stand-in for the UNet's output, computed from diffusers' sample: what a scheduler does with it is
compared, in units of the largest value so far where that is over 1. Takes seconds, needs torch and diffusers.

``--quantized`` instead generates images of the demo with each scheduler by the QDQ graphs, on the CPU, and compares
them with those of the float graphs: PSNR of four prompts. The graphs are calibrated with dpm++2m. Builds the demo.
"""

from __future__ import annotations

import argparse
import json
import statistics
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.schedulers import SCHEDULERS, make_scheduler, spacings_of
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.targets import CpuRunner

CONFIG = Path(__file__).resolve().parents[1] / "assets" / "tiny-sd" / "scheduler" / "scheduler_config.json"
STEPS = 20
SPACINGS: dict[str, dict[str, Any]] = {
    "": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "sgm-uniform": {"timestep_spacing": "trailing"},
}
ZERO_SNR = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
SDE = {"algorithm_type": "sde-dpmsolver++"}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++2m-sde": ("DPMSolverMultistepScheduler", SDE),
    "dpm++2m-sde-heun": ("DPMSolverMultistepScheduler", {**SDE, "solver_type": "heun"}),
    "dpm++3m": ("DPMSolverMultistepScheduler", {"solver_order": 3}),
    "dpm++3m-sde": ("DPMSolverMultistepScheduler", {**SDE, "solver_order": 3}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "unipc-bh2": ("UniPCMultistepScheduler", {"solver_type": "bh2"}),
    "deis": ("DEISMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
# diffusers' ancestral scheduler has no spacings of levels.
UNKNOWN_THERE = {("euler-a", "karras"), ("euler-a", "exponential")}
QUANTIZED = (
    *("dpm++2m", "dpm++2m-karras", "dpm++2m-exponential", "dpm++2m-sgm-uniform", "dpm++2m-sde-karras"),
    *("unipc", "unipc-karras", "deis", "euler", "euler-karras", "euler-a", "heun", "heun-karras", "ddim", "pndm"),
)
# What else may leave what the graphs are calibrated for: a name, changes of the config, steps and guidance.
QUANTIZED_OTHERWISE: dict[str, tuple[str, dict[str, Any], int, float]] = {
    "`lcm`, 8 steps, guidance 1": ("lcm", {}, 8, 1.0),
    "`lcm`, 8 steps, guidance 2": ("lcm", {}, 8, 2.0),
    "`lcm`, 8 steps, guidance 4": ("lcm", {}, 8, 4.0),
    "`dpm++2m`, zero terminal SNR, v": ("dpm++2m", ZERO_SNR, STEPS, 4.0),
    "`euler`, zero terminal SNR, v": ("euler", ZERO_SNR, STEPS, 4.0),
    "`dpm++2m`, zero terminal SNR, epsilon": ("dpm++2m", {**ZERO_SNR, "prediction_type": "epsilon"}, STEPS, 4.0),
}
PROMPTS = (
    *("a green star on a yellow background", "a big blue circle", "two red squares on white"),
    "a small purple triangle on black",
)


def difference(name: str, kind: str, config: dict[str, Any], settings: dict[str, Any]) -> float:
    """The largest difference of a scheduler from diffusers'.

    Args:
        name: ours, which reads ``config`` alone.
        kind: diffusers' class.
        config: a checkpoint's.
        settings: what the name means in diffusers.
    """
    import diffusers  # noqa: PLC0415 (not needed for --quantized)
    import torch  # noqa: PLC0415

    theirs = getattr(diffusers, kind).from_config({**config, **settings})
    theirs.set_timesteps(STEPS)
    if hasattr(theirs, "set_begin_index"):
        theirs.set_begin_index(0)
    ours, noise, generator = make_scheduler(name, config, STEPS), TorchNoise(5), torch.Generator("cpu").manual_seed(5)
    sample = torch.randn(1, 4, 8, 8, generator=generator) * theirs.init_noise_sigma
    found = noise.normal((1, 4, 8, 8)) * np.float32(ours.initial_scale)
    extra = {"generator": generator} if "generator" in signature(theirs.step).parameters else {}
    worst, largest = 0.0, 1.0
    for index, time in enumerate(theirs.timesteps):
        largest = max(largest, float(sample.abs().max()))
        scaled = theirs.scale_model_input(sample, time).numpy()
        predicted = (np.tanh(scaled) * 0.8 + np.sin(scaled * 3 + float(time) / 100) * 0.3).astype(np.float32)
        sample = theirs.step(torch.from_numpy(predicted), time, sample, **extra).prev_sample
        found = ours.step(predicted, index, found, noise)
        worst = max(worst, float(np.abs(found - sample.numpy()).max()) / largest)
    return worst


def show_differences() -> None:
    """Prints the table."""
    config = json.loads(CONFIG.read_text("utf-8"))
    print("| scheduler | the config's | karras | exponential | sgm-uniform | zero terminal SNR |")
    print("|---|---|---|---|---|---|")
    for name, (kind, own) in THEIRS.items():
        cells = []
        for spacing, settings in SPACINGS.items():
            if spacing and (spacing not in spacings_of(name) or (name, spacing) in UNKNOWN_THERE):
                cells.append("-")
                continue
            cells.append(f"{difference(f'{name}-{spacing}'.strip('-'), kind, config, {**own, **settings}):.0e}")
        has_zero = "rescale_betas_zero_snr" in SCHEDULERS[name].variants
        cells.append(f"{difference(name, kind, {**config, **ZERO_SNR}, own):.0e}" if has_zero else "-")
        print(f"| `{name}` | {' | '.join(cells)} |")


def show_quantized() -> None:
    """Prints PSNR of images of the QDQ graphs against float."""
    pipeline = BuildPipeline(load_model("tiny-sd"), Console())
    bundles = {kind: pipeline.cpu_bundle(kind) for kind in ("float", "qdq")}
    own = {f"`{name}`": (name, {}, STEPS, pipeline.model.guidance) for name in QUANTIZED}
    for title, (name, config, steps, guidance) in {**own, **QUANTIZED_OTHERWISE}.items():
        found = []
        for number, prompt in enumerate(PROMPTS):
            request = Request(prompt, steps=steps, guidance=guidance, scheduler=name, seed=100 + number)
            images = []
            for kind, bundle in bundles.items():
                info = bundle.info.model_copy(update={"scheduler": {**bundle.info.scheduler, **config}})
                runner = CpuRunner(bundle.file, optimize=kind == "float")
                images += TextToImage(runner, info, bundle.tokenizer).generate(request).images
            found.append(psnr_db(images[0], images[1]))
        print(f"| {title} | {statistics.mean(found):.1f} | {min(found):.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quantized", action="store_true", help="compare images of the QDQ graphs with float ones")
    show_quantized() if parser.parse_args().quantized else show_differences()


if __name__ == "__main__":
    main()
