"""Every SoC that has a profile: compiled, verified on the HTP emulator, and twenty images of it looked at.

    make socs                     # or: python benchmarks/socs.py [--soc sm8550 --soc sm8650] [--cache FOLDER]

One row a SoC, all of them from one QDQ graph a component, the demo model's. SQNR is of the worst input, context binary
against QDQ graph, at the inputs that nothing was fitted to (docs/verification.md); of the UNet also that of the worst
guidance difference. "right" is how many of twenty images of 20 steps show what their prompt says, by the checker that
trained the demo; combinations that training never showed, seeds 0 to 19. An image takes the emulator 20 s. So the first
is generated for each SoC, and the others once for all SoCs whose first image is the same to the bit after its 41 calls:
"as sm8550" names whose they are. "estimate" is the compiler's, ms for text encoder, UNet, VAE decoder, for SoCs that
it estimates times of. On two cores an hour.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import checker, judge, prompts, scenes

from qnn_sd.compile.cost import Chip, measure
from qnn_sd.config import DEMO_MODEL, DeviceProfile, load_model, load_profile, socs
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.qnn_provider import versions

COUNT = 20
HEADER = f"{'SoC':<10}{'HTP':<5}{'compiled':<10}{'SQNR, dB: text encoder / UNet (difference) / VAE decoder':<58}"


@dataclass(frozen=True)
class Row:
    """What was found of a SoC.

    Attributes:
        soc: its name.
        htp_arch: its Hexagon architecture.
        refused: why there are no binaries; "" if there are.
        sqnr: of each component, for the table.
        first: the first image; None without binaries.
        estimate: the compiler's, or why there is none.
    """

    soc: str
    htp_arch: int
    refused: str = ""
    sqnr: str = ""
    first: judge.Image | None = None
    estimate: str = ""


def pipeline(cache: Path | None) -> BuildPipeline:
    return BuildPipeline(load_model(DEMO_MODEL), Console(quiet=True), cache=cache)


def wanted() -> list[tuple[str, scenes.Scene]]:
    return prompts.held_out()[:COUNT]


def row(cache: Path | None, soc_and_core: tuple[str, int]) -> Row:
    """Builds for a SoC on one core."""
    soc, core = soc_and_core
    os.sched_setaffinity(0, [core])
    profile, build = load_profile(soc), pipeline(cache)
    try:
        bundle = build.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    except QnnSdError as error:
        return Row(soc, profile.htp_arch, error.what)
    assert bundle.info.verification is not None
    figures = []
    for name in TEXT_TO_IMAGE_COMPONENTS:
        found = bundle.info.verification[name].binary_against_qdq
        assert found is not None
        difference = "" if found.difference_db is None else f" ({found.difference_db:.1f})"
        figures.append(f"{found.worst_db:.1f}{difference}")
    [first] = judge.generate(bundle, [wanted()[0][0]], cores=[core])
    return Row(soc, profile.htp_arch, "", " / ".join(figures), first, estimate(build, profile))


def estimate(build: BuildPipeline, profile: DeviceProfile) -> str:
    """The compiler's estimate, or why there is none."""
    if not profile.estimates:
        return f"none: the compiler has none for {profile.soc.upper()}"
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb, profile.optimization_mode)
    times = []
    for name in TEXT_TO_IMAGE_COMPONENTS:
        found = measure(build.quantize(name).folder, chip).estimate
        times.append("-" if found is None else f"{found.ms:.2f}")
    return f"{' / '.join(times)} ms"


def right(cache: Path | None, found: Row) -> int:
    """How many of all images show what was asked for."""
    bundle = pipeline(cache).bundle(load_profile(found.soc), TEXT_TO_IMAGE_COMPONENTS)
    images = judge.generate(bundle, [text for text, _ in wanted()])
    assert found.first is not None
    assert np.array_equal(images[0], found.first), "the emulator repeats itself"
    return sum(checker.shows(image, scene) for image, (_, scene) in zip(images, wanted(), strict=True))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", action="append", help="only this one; repeatable")
    parser.add_argument("--cache", type=Path, help="instead of the user's cache")
    options = parser.parse_args()
    chosen = sorted(options.soc or socs(), key=lambda soc: (load_profile(soc).htp_arch, soc))
    for name in TEXT_TO_IMAGE_COMPONENTS:
        pipeline(options.cache).verify_quantization(name)  # once, before the processes that all need it
    cores = sorted(os.sched_getaffinity(0))
    numbered = [(soc, cores[number % len(cores)]) for number, soc in enumerate(chosen)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(cores), mp_context=context) as pool:
        rows = list(pool.map(partial(row, options.cache), numbered))
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    print(f"{platform.machine()}, {len(cores)} cores; {used}; {DEMO_MODEL}")
    print(f"{HEADER}{'right of ' + str(COUNT):<19}estimate")
    groups: list[tuple[Row, int]] = []
    for each in rows:
        begun = f"{each.soc:<10}v{each.htp_arch:<4}"
        if each.first is None:
            print(f"{begun}{'no':<10}{each.refused}", flush=True)
            continue
        same = [(of, count) for of, count in groups if of.first is not None and np.array_equal(of.first, each.first)]
        if not same:
            same = [(each, right(options.cache, each))]
            groups += same
        [(of, count)] = same
        whose = "" if of is each else f", as {of.soc}"
        print(f"{begun}{'yes':<10}{each.sqnr:<58}{f'{count}/{COUNT}{whose}':<19}{each.estimate}", flush=True)


if __name__ == "__main__":
    main()
