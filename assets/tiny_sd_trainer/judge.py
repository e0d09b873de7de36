"""Paints the fixed prompts with the demo model on any target, two at a time on two cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd import artifact
from qnn_sd.bundle_format import OpenBundle
from qnn_sd.config import load_model
from qnn_sd.generate import Request, TextToImage
from qnn_sd.targets import CpuRunner, EmulatorRunner

Picture = NDArray[np.uint8]


def _paint(
    folder: Path, guidance: float | None, instead: Mapping[str, Path], prompts: Sequence[tuple[int, str]]
) -> list[Picture]:
    """Paints numbered prompts in this process; a prompt's number is its seed."""
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
    pictures = []
    for seed, prompt in prompts:
        request = Request(
            prompt, steps=config.steps, guidance=guidance or config.guidance, scheduler=config.scheduler, seed=seed
        )
        pictures += loop.generate(request).pictures
    return pictures


def paint(
    bundle: OpenBundle,
    prompts: Sequence[str],
    guidance: float | None = None,
    workers: int | None = None,
    instead: Mapping[str, Path] | None = None,
) -> list[Picture]:
    """One picture for each prompt with the model's default settings; the n-th has seed n.

    Args:
        bundle: for a SoC (runs on the emulator) or for the CPU.
        prompts: what to paint.
        guidance: scale; None for the model's default.
        workers: processes; None for one a core.
        instead: files to run instead of the bundle's own, by component.
    """
    workers = workers or min(os.cpu_count() or 1, 8)
    numbered = list(enumerate(prompts))
    shares = [numbered[start::workers] for start in range(workers)]
    # Fresh processes: a runtime's threads don't survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        painted = list(pool.map(partial(_paint, bundle.folder, guidance, instead or {}), shares))
    pictures: list[Picture] = [np.empty(0, np.uint8)] * len(prompts)
    for share, results in zip(shares, painted, strict=True):
        for (number, _), picture in zip(share, results, strict=True):
            pictures[number] = picture
    return pictures
