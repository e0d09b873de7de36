"""Time per sampling step: the cpu target against diffusers on torch, same checkpoint and threads.

    python benchmarks/generate.py [--threads 2] [--rounds 5] [--checkpoint assets/tiny-sd]

Both generate the same prompt in turn, round by round, so that a machine whose speed drifts slows
both; the figure is the ratio of the medians, below 1 where qnn-sd is faster. Needs the extra dev.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from qnn_sd import resources
from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.generate import Request, TextToImage
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.targets import CpuRunner

PROMPT = "a red circle on a blue background"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoint", type=Path, default=resources.assets() / "tiny-sd")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    config = load_model("tiny-sd")

    diffusers_pipeline = StableDiffusionPipeline.from_pretrained(options.checkpoint, safety_checker=None)
    diffusers_pipeline.scheduler = DPMSolverMultistepScheduler.from_pretrained(
        options.checkpoint, subfolder="scheduler"
    )
    diffusers_pipeline.set_progress_bar_config(disable=True)
    theirs: list[float] = []

    def torch_round() -> None:
        last = [0.0]

        def stamp(_pipeline: object, index: int, _time: object, values: dict[str, object]) -> dict[str, object]:
            now = time.perf_counter()
            if index:  # the first step also holds what comes before the loop
                theirs.append(now - last[0])
            last[0] = now
            return values

        diffusers_pipeline(
            PROMPT,
            height=config.height,
            width=config.width,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance,
            generator=torch.Generator("cpu").manual_seed(1),
            callback_on_step_end=stamp,
        )

    with tempfile.TemporaryDirectory() as cache:
        pipeline = BuildPipeline(config, Console(quiet=True), Sources(options.checkpoint), Path(cache))
        bundle = pipeline.cpu_bundle("float")
        loop = TextToImage(
            CpuRunner(bundle.file, options.threads, optimize=not bundle.is_quantized), bundle.info, bundle.tokenizer
        )
        ours: list[float] = []

        def our_round() -> None:
            steps: list[float] = []
            request = Request(PROMPT, steps=config.steps, guidance=config.guidance, seed=1)
            loop.generate(request, steps.append)
            ours.extend(steps[1:])

        for number in range(options.rounds + 1):
            torch_round()
            our_round()
            if not number:  # warm-up
                theirs.clear()
                ours.clear()
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{options.rounds} rounds of {config.steps} steps, guidance {config.guidance}, {options.threads} threads")
    print(f"{'':28}{'ms a step (median)':>20}")
    print(f"{'qnn-sd, cpu, float':28}{1000 * a:>20.2f}")
    print(f"{'diffusers on torch':28}{1000 * b:>20.2f}")
    print(f"{'ratio':28}{a / b:>20.2f}")


if __name__ == "__main__":
    main()
