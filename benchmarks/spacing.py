"""Time steps that other checkpoints' schedules ask about: are they covered, and are the images as near to float?

    python benchmarks/spacing.py [--prompts 20]

Builds the demo checkpoint with the scheduler configs that checkpoints have in the wild: ``timestep_spacing: trailing``,
and ``leading`` as PNDM's and DDIM's configs say it. For each: the times that the UNet's input can hold, how many of the
schedule's lie outside, and the PSNR of images by the QDQ graphs on the CPU against float. Same prompts and seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import judge, prompts

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.generate.schedulers import make_scheduler
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.component import ENCODINGS_1_0_0

CHECKPOINT = ROOT / "assets" / "tiny-sd"
CONFIGS = {
    "trailing": {"timestep_spacing": "trailing"},
    "leading, PNDM's": {"_class_name": "PNDMScheduler", "timestep_spacing": "leading", "steps_offset": 1},
    "leading, DDIM's": {"_class_name": "DDIMScheduler", "timestep_spacing": "leading", "steps_offset": 1},
    "leading, no offset": {"timestep_spacing": "leading", "steps_offset": 0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=20)
    options = parser.parse_args()
    some = [text for text, _ in prompts.held_out()][: options.prompts]
    model = load_model("tiny-sd")
    print(f"{'config':20}{'times asked':>16}{'times held':>16}{'outside':>9}{'PSNR, median':>15}{'least':>8}")
    for name, changes in CONFIGS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "checkpoint"
            shutil.copytree(CHECKPOINT, folder)
            path = folder / "scheduler" / "scheduler_config.json"
            config = {**json.loads(path.read_text("utf-8")), **changes}
            path.write_text(json.dumps(config), "utf-8")
            pipeline = BuildPipeline(model, Console(quiet=True), Sources(checkpoint=str(folder)))
            floats, quantized = (judge.generate(pipeline.cpu_bundle(kind), some) for kind in ("float", "qdq"))
            told = json.loads(pipeline.quantize("unet").file(ENCODINGS_1_0_0).read_text("utf-8"))
        [held] = [each for each in told["activation_encodings"] if each["name"] == "timestep"]
        largest = held["scale"][0] * 65535
        asked = make_scheduler(model.scheduler, config, model.steps).timesteps
        outside = int(((asked < 0) | (asked > largest)).sum())
        psnr = [psnr_db(a, b) for a, b in zip(floats, quantized, strict=True)]
        print(
            f"{name:20}{f'{asked.min():g} to {asked.max():g}':>16}{f'0 to {largest:.2f}':>16}{outside:>9}"
            f"{statistics.median(psnr):>12.1f} dB{min(psnr):>5.1f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
