"""GroupNorm's two forms: how faithful the emulator is to each, and how long it takes.

    python benchmarks/group_norm.py [--soc sm8650] [--samples 3]

For each component of the demo model: SQNR of the QDQ graph against float, of the emulator against
the QDQ graph (power and noise summed over recorded inputs), and processor seconds per emulated call.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from qnn_sd.build import Road
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.export import Forms
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.targets import CpuRunner, EmulatorRunner

COMPONENTS = ("unet", "vae_decoder", "vae_encoder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--samples", type=int, default=3)
    options = parser.parse_args()
    profile = load_profile(options.soc)
    print(f"{'form':12}{'component':14}{'QDQ to float':>14}{'HTP to QDQ':>12}{'emulated call':>16}")
    for form in ("pooled", "layer_norm"):
        road = Road(load_model("tiny-sd"), Console(quiet=True), forms=Forms(group_norm=form))
        for component in COMPONENTS:
            stages = {
                "float": CpuRunner(lambda name, road=road: road.export(name).file(MODEL_FILE), optimize=True),
                "qdq": CpuRunner(lambda name, road=road: road.quantize(name).file(MODEL_FILE)),
                "htp": EmulatorRunner(
                    lambda name, road=road: road.compile(name, profile).file(CONTEXT_FILE),
                    profile.soc_model,
                    profile.htp_arch,
                ),
            }
            feeds = list(road.samples(road.calibration(), component))
            chosen = feeds[:: max(1, len(feeds) // options.samples)][: options.samples]
            outputs = {}
            for name, runner in stages.items():
                runner.load(component)
                started = time.process_time()
                outputs[name] = np.stack([runner.run(component, sample) for sample in chosen])
                seconds = (time.process_time() - started) / len(chosen)
            quantized, emulated = sqnr_db(outputs["float"], outputs["qdq"]), sqnr_db(outputs["qdq"], outputs["htp"])
            print(f"{form:12}{component:14}{quantized:>11.1f} dB{emulated:>9.1f} dB{seconds:>14.2f} s", flush=True)


if __name__ == "__main__":
    main()
