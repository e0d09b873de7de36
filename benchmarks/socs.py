"""Every SoC that has a profile: compiled, verified on the HTP emulator, and twenty images of it looked at.

    make socs                     # or: python benchmarks/socs.py [--soc sm8550 --soc sm8650] [--cache FOLDER]

One row a SoC, all of them from one QDQ graph a component, the demo model's. SQNR is of the worst input, context binary
against QDQ graph, at the inputs that nothing was fitted to (docs/verification.md); of the UNet also that of the worst
guidance difference. "right" is how many of twenty images of 20 steps show what their prompt says, by the checker that
trained the demo; seeds 0 to 19. Images take the emulator 20 s each. So the first image is generated for each SoC, and
the others once for all SoCs whose first image is the same to the bit after its 41 calls: "as sm8550" names whose they
are. "estimate" is the compiler's, ms for text encoder, UNet, VAE decoder, for the SoCs that it estimates times of.
On two cores an hour.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import checker, judge, prompts

from qnn_sd.compile.cost import Chip, measure
from qnn_sd.config import DEMO_MODEL, DeviceProfile, load_model, load_profile, socs
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.qnn_provider import versions

COUNT = 20
COLUMNS = f"{'SoC':<10}{'HTP':<5}{'compiled':<10}{'SQNR, dB: text encoder / UNet (difference) / VAE decoder':<58}"


@dataclass
class Painted:
    """The images of a group of SoCs.

    Attributes:
        soc: whose binaries generated them.
        first: the first image.
        right: how many of all show what was asked for.
    """

    soc: str
    first: np.ndarray
    right: int


def row(pipeline: BuildPipeline, profile: DeviceProfile, groups: list[Painted]) -> str:
    """What was found of a SoC."""
    begun = f"{profile.soc:<10}v{profile.htp_arch:<4}"
    try:
        bundle = pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    except QnnSdError as error:
        return f"{begun}{'no':<10}{error.what}"
    assert bundle.info.verification is not None
    figures = []
    for name in TEXT_TO_IMAGE_COMPONENTS:
        found = bundle.info.verification[name].binary_against_qdq
        assert found is not None
        difference = "" if found.difference_db is None else f" ({found.difference_db:.1f})"
        figures.append(f"{found.worst_db:.1f}{difference}")
    wanted = prompts.held_out()[:COUNT]
    texts = [text for text, _ in wanted]
    [first] = judge.generate(bundle, texts[:1], workers=1)
    same = next((group for group in groups if np.array_equal(group.first, first)), None)
    if same is None:
        images = judge.generate(bundle, texts)
        assert np.array_equal(images[0], first), "the emulator repeats itself"
        right = sum(checker.shows(image, scene) for image, (_, scene) in zip(images, wanted, strict=True))
        same = Painted(profile.soc, first, right)
        groups.append(same)
    whose = "" if same.soc == profile.soc else f", as {same.soc}"
    right_of = f"{same.right}/{COUNT}{whose}"
    return f"{begun}{'yes':<10}{' / '.join(figures):<58}{right_of:<19}{estimate(pipeline, profile)}"


def estimate(pipeline: BuildPipeline, profile: DeviceProfile) -> str:
    """The compiler's estimate, or why there is none."""
    if not profile.estimates:
        return f"none: the compiler has none for {profile.soc.upper()}"
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb, profile.optimization_mode)
    times = []
    for name in TEXT_TO_IMAGE_COMPONENTS:
        found = measure(pipeline.quantize(name).folder, chip).estimate
        times.append("-" if found is None else f"{found.ms:.2f}")
    return f"{' / '.join(times)} ms"


def main() -> None:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", action="append", help="only this one; repeatable")
    parser.add_argument("--cache", type=Path, help="instead of the user's cache")
    options = parser.parse_args()
    pipeline = BuildPipeline(load_model(DEMO_MODEL), Console(quiet=True), cache=options.cache)
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores; {used}; {DEMO_MODEL}")
    print(f"{COLUMNS}{'right of 20':<19}estimate")
    groups: list[Painted] = []
    for profile in sorted(map(load_profile, options.soc or socs()), key=lambda each: (each.htp_arch, each.soc)):
        print(row(pipeline, profile, groups), flush=True)


if __name__ == "__main__":
    main()
