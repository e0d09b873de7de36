"""Generates the fixed prompts with the demo model on any target, two at a time on two cores."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd import artifact
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.config import load_model
from qnn_sd.generate import Request, TextToImage
from qnn_sd.targets import CpuRunner, EmulatorRunner

Image = NDArray[np.uint8]


def _generate(
    folder: Path,
    guidance: float | None,
    instead: Mapping[str, Path],
    steps: int | None,
    core: int,
    prompts: Sequence[tuple[int, str]],
) -> list[Image]:
    """Generates numbered prompts in this process, on one core; a prompt's number is its seed."""
    # The emulator computes in one thread while another waits for it in a busy loop, which takes a second core.
    os.sched_setaffinity(0, [core])
    bundle = OpenBundle(artifact.load(folder))
    info = bundle.info
    soc = info.soc

    def file(component: str) -> Path:
        return instead.get(component) or bundle.file(component)

    runner = (
        EmulatorRunner(file, soc.soc_model, soc.htp_arch)
        if soc
        else CpuRunner(file, threads=1, optimize=not (bundle.is_quantized or instead))
    )
    loop = TextToImage(runner, info, bundle.tokenizer)
    config = load_model(info.model)
    images = []
    for seed, prompt in prompts:
        request = Request(
            prompt,
            steps=steps or config.steps,
            guidance=guidance or config.guidance,
            scheduler=config.scheduler,
            seed=seed,
        )
        images += loop.generate(request).images
    return images


def generate(
    bundle: OpenBundle,
    prompts: Sequence[str],
    guidance: float | None = None,
    workers: int | None = None,
    instead: Mapping[str, Path] | None = None,
    steps: int | None = None,
    cores: Sequence[int] | None = None,
) -> list[Image]:
    """One image for each prompt with the model's default settings, where nothing else is given; the n-th has seed n.

    Args:
        bundle: for a SoC (runs on the emulator) or for the CPU.
        prompts: what to generate.
        guidance: scale; None for the model's default.
        workers: processes; None for one a core, and no more than 8.
        instead: files to run instead of the bundle's own, by component.
        steps: sampling steps; None for the model's default.
        cores: those to use; None for all of this process.
    """
    cores = cores or sorted(os.sched_getaffinity(0))
    workers = workers or min(len(cores), 8)
    numbered = list(enumerate(prompts))
    shares = [numbered[start::workers] for start in range(workers)]
    # Fresh processes: a runtime's threads don't survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        generate_on = partial(_generate, bundle.folder, guidance, instead or {}, steps)
        generated = list(pool.map(generate_on, itertools.cycle(cores), shares))
    images: list[Image] = [np.empty(0, np.uint8)] * len(prompts)
    for share, results in zip(shares, generated, strict=True):
        for (number, _), image in zip(share, results, strict=True):
            images[number] = image
    return images
