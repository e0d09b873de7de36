"""Twenty prompts of combinations that training never showed: by float graphs, QDQ graphs and the HTP emulator.

    python benchmarks/contact_sheet.py [--soc sm8650] [--output docs/contact_sheet.png]

Prints what the checker says and the PSNR of each picture against float, and draws them all in
one sheet: three rows a block, from above float, QDQ on the CPU, context binary on the emulator.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import checker, judge, prompts

from qnn_sd.build import PICTURE_COMPONENTS, Road
from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.metrics import psnr_db

COUNT, COLUMNS, GAP = 20, 10, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "contact_sheet.png")
    options = parser.parse_args()
    road = Road(load_model("tiny-sd"), Console())
    bundles = {
        "float": road.bundle_for_cpu("float"),
        "QDQ on the CPU": road.bundle_for_cpu("w8a16"),
        f"{options.soc} on the emulator": road.bundle_for(load_profile(options.soc), PICTURE_COMPONENTS),
    }
    chosen = prompts.held_out()[:COUNT]
    painted = {name: judge.paint(bundle, [text for text, _ in chosen]) for name, bundle in bundles.items()}
    print(f"{'':28}{'right':>8}{'PSNR against float, median':>30}{'least':>8}")
    for name, pictures in painted.items():
        right = sum(checker.shows(picture, scene) for picture, (_, scene) in zip(pictures, chosen, strict=True))
        likeness = [psnr_db(a, b) for a, b in zip(painted["float"], pictures, strict=True)]
        print(f"{name:28}{right:>5}/{COUNT}{statistics.median(likeness):>27.1f} dB{min(likeness):>5.1f} dB")
    side = painted["float"][0].shape[0]
    blocks = COUNT // COLUMNS
    sheet = np.full((blocks * (3 * side + 4 * GAP), COLUMNS * (side + GAP), 3), 255, np.uint8)
    for row, pictures in enumerate(painted.values()):
        for number, picture in enumerate(pictures):
            top = number // COLUMNS * (3 * side + 4 * GAP) + row * (side + GAP)
            left = number % COLUMNS * (side + GAP)
            sheet[top : top + side, left : left + side] = picture
    options.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
