"""What rounding means to images: fifty prompts, W8A16 rounded to nearest and by AdaRound, against float.

    python benchmarks/rounding_images.py [--output docs/rounding.png]

The demo model on ONNX Runtime's CPU provider, same seeds for all. Prints how many images show what their
prompt says (by the demo's checker) and each image's PSNR against float; draws some of them, from above float,
and how far nearest and AdaRound are from it, amplified. Some minutes, if the graphs are in the cache.
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

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline

COUNT, DRAWN, GAP, AMPLIFIED = 50, 10, 4, 16


def difference(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far an image is from another, on black, amplified."""
    return np.clip(np.abs(image.astype(int) - reference) * AMPLIFIED, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "rounding.png")
    options = parser.parse_args()
    model = load_model("tiny-sd")
    bundles = {
        "float": BuildPipeline(model, Console()).cpu_bundle("float"),
        "nearest": BuildPipeline(model, Console(), rounding="nearest").cpu_bundle("qdq"),
        "AdaRound": BuildPipeline(model, Console()).cpu_bundle("qdq"),
    }
    # From all of them, or only one kind of scene would be looked at.
    chosen = prompts.seen()[:: len(prompts.seen()) // COUNT][:COUNT]
    generated = {name: judge.generate(bundle, [text for text, _ in chosen]) for name, bundle in bundles.items()}
    print(f"{'':12}{'right':>8}{'PSNR against float, median':>30}{'mean':>8}{'least':>8}")
    for name, images in generated.items():
        right = sum(checker.shows(image, scene) for image, (_, scene) in zip(images, chosen, strict=True))
        psnr = [psnr_db(a, b) for a, b in zip(generated["float"], images, strict=True)]
        print(
            f"{name:12}{right:>5}/{COUNT}{statistics.median(psnr):>27.1f} dB"
            f"{statistics.fmean(psnr):>8.1f}{min(psnr):>8.1f}"
        )
    side = generated["float"][0].shape[0]
    sheet = np.full((3 * (side + GAP) - GAP, DRAWN * (side + GAP) - GAP, 3), 255, np.uint8)
    for row, (name, images) in enumerate(generated.items()):
        for column, (image, reference) in enumerate(zip(images[:DRAWN], generated["float"][:DRAWN], strict=True)):
            top, left = row * (side + GAP), column * (side + GAP)
            shown = image if name == "float" else difference(image, reference)
            sheet[top : top + side, left : left + side] = shown
    Image.fromarray(sheet).save(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
