"""Twenty prompts of combinations that training never showed: by float graphs, QDQ graphs and the HTP emulator.

    python benchmarks/contact_sheet.py [--soc sm8650] [--output docs/contact_sheet.png]

Prints what the checker says and the PSNR of each image against float, and draws them all in
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

from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

COUNT, COLUMNS, GAP = 20, 10, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "contact_sheet.png")
    options = parser.parse_args()
    pipeline = BuildPipeline(load_model("tiny-sd"), Console())
    bundles = {
        "float": pipeline.cpu_bundle("float"),
        "QDQ on the CPU": pipeline.cpu_bundle("qdq"),
        f"{options.soc} on the emulator": pipeline.bundle(load_profile(options.soc), TEXT_TO_IMAGE_COMPONENTS),
    }
    chosen = prompts.held_out()[:COUNT]
    generated = {name: judge.generate(bundle, [text for text, _ in chosen]) for name, bundle in bundles.items()}
    print(f"{'':28}{'right':>8}{'PSNR against float, median':>30}{'least':>8}")
    for name, images in generated.items():
        right = sum(checker.shows(image, scene) for image, (_, scene) in zip(images, chosen, strict=True))
        psnr = [psnr_db(a, b) for a, b in zip(generated["float"], images, strict=True)]
        print(f"{name:28}{right:>5}/{COUNT}{statistics.median(psnr):>27.1f} dB{min(psnr):>5.1f} dB")
    side = generated["float"][0].shape[0]
    blocks = COUNT // COLUMNS
    sheet = np.full((blocks * (3 * side + 4 * GAP), COLUMNS * (side + GAP), 3), 255, np.uint8)
    for row, images in enumerate(generated.values()):
        for number, image in enumerate(images):
            top = number // COLUMNS * (3 * side + 4 * GAP) + row * (side + GAP)
            left = number % COLUMNS * (side + GAP)
            sheet[top : top + side, left : left + side] = image
    options.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
