"""Generates the hundred fixed prompts in float and saves them as one sheet beside the checkpoint.

    python assets/tiny_sd_trainer/contact_sheet.py [--guidance 4] [--output assets/tiny-sd/contact_sheet.png]

An image that the checker doesn't find right is named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ASSETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ASSETS))

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.pipeline import BuildPipeline
from tiny_sd_trainer import checker, judge, prompts

COLUMNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ASSETS / "tiny-sd" / "contact_sheet.png")
    parser.add_argument("--guidance", type=float, help="[the model's default]")
    options = parser.parse_args()
    bundle = BuildPipeline(load_model("tiny-sd"), Console()).cpu_bundle("float")
    for name, wanted in (("fixed prompts", prompts.seen()), ("held-out combinations", prompts.held_out())):
        images = judge.generate(bundle, [text for text, _ in wanted], options.guidance)
        wrong = [text for image, (text, scene) in zip(images, wanted, strict=True) if not checker.shows(image, scene)]
        print(f"{name}: {len(wanted) - len(wrong)} of {len(wanted)} right; wrong: {wrong or 'none'}")
        if name == "fixed prompts":
            rows = [np.concatenate(images[start : start + COLUMNS], 1) for start in range(0, len(images), COLUMNS)]
            Image.fromarray(np.concatenate(rows)).resize((64 * COLUMNS, 64 * len(rows)), Image.Resampling.LANCZOS).save(
                options.output
            )
    print(options.output)


if __name__ == "__main__":
    main()
