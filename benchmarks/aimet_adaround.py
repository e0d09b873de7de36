r"""AIMET's AdaRound on a float graph: the peer that ours is measured against (``benchmarks/adaround.py --peer``).

aimet-onnx needs torch, so it lives in an environment of its own (6 GB, most of it torch's CUDA libraries):

    python3.11 -m venv PEER
    PEER/bin/pip install aimet-onnx==2.42.0 torch==2.11.0 torchvision==0.26.0 \
        numpy==2.4.6 onnx==1.23.2 onnx2torch==1.5.15 onnxruntime==1.31.1
    PEER/bin/python benchmarks/aimet_adaround.py FLOAT_FOLDER DATA_FOLDER OUT_FOLDER --iterations 10000 --threads 2

``DATA_FOLDER`` holds ``encodings.json`` (AIMET's format, version 2.0.0), ``samples.npz`` (inputs by name, stacked along
a first axis) and ``weights.json`` (names of the weights to round). ``OUT_FOLDER`` gets ``weights.npz``, those weights
by name, float32, as AIMET leaves them in its model, and ``took.json``: the seconds that ``apply_adaround`` took, on
the clock and of the processors.

All encodings of parameters are loaded and frozen before, so AIMET computes none of its own. Activations it doesn't
quantize while it rounds, whatever their encodings are. Apart from the iterations nothing is set. With ``--versions``
it prints those of its packages as JSON and ends.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import torch
from aimet_onnx import QuantizationSimModel, apply_adaround
from onnx import numpy_helper

PACKAGES = ("aimet-onnx", "numpy", "onnxruntime", "torch")
# Of AIMET's configs, the one for the HTP of the SoC that the other benchmarks take; it says what is quantized.
CONFIG = "htp_v75"
SEED = 0


class Versions(argparse.Action):
    """Prints the packages' versions and ends."""

    def __call__(self, *_arguments: object) -> None:
        print(json.dumps({name: metadata.version(name) for name in PACKAGES}))
        sys.exit()


def refuse_other_scales(sim: QuantizationSimModel, encodings: list[dict]) -> None:
    """Ends the program unless all parameters that are quantized have the very scales that were given."""
    given = {entry["name"]: list(np.ravel(entry["y_scale"])) for entry in encodings}
    for name in sim.param_names:
        quantizer = sim.qc_quantize_op_dict[name]
        if quantizer.enabled and [each.delta for each in quantizer.get_encodings() or ()] != given.get(name):
            sys.exit(f"AIMET has scales of its own for {name}")


def layers_of(sim: QuantizationSimModel, weights: Collection[str]) -> list[str]:
    """Names of the layers that have these weights: AIMET joins MatMul and Add to a Gemm with a name of its own."""
    return [
        op.name
        for op in sim.connected_graph.ordered_ops
        if any(kind == "weight" and product.name in weights for product, kind in op.parameters.values())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", action=Versions, nargs=0, help="print the packages' versions and end")
    parser.add_argument("graph", type=Path, metavar="FLOAT_FOLDER")
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("folder", type=Path, metavar="OUT_FOLDER")
    parser.add_argument("--iterations", type=int, required=True, help="of a layer; AIMET's default is 10000")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    sim = QuantizationSimModel(
        onnx.load(options.graph / "model.onnx"),
        param_type="int8",
        activation_type="int16",
        config_file=CONFIG,
        session_options_kwargs={"intra_op_num_threads": options.threads},
    )
    encodings = options.data / "encodings.json"
    sim.set_and_freeze_param_encodings(str(encodings))
    refuse_other_scales(sim, json.loads(encodings.read_text("utf-8"))["encodings"])
    with np.load(options.data / "samples.npz") as stored:
        stacked = {name: stored[name] for name in stored.files}
    samples = [dict(zip(stacked, each, strict=True)) for each in zip(*stacked.values(), strict=True)]
    weights = json.loads((options.data / "weights.json").read_text("utf-8"))

    started, worked = time.monotonic(), time.process_time()
    apply_adaround(sim, samples, options.iterations, layers_of(sim, weights))
    took = {"seconds": time.monotonic() - started, "processor_seconds": time.process_time() - worked}

    left = {tensor.name: numpy_helper.to_array(tensor) for tensor in sim.model.model.graph.initializer}
    np.savez(options.folder / "weights.npz", **{name: left[name] for name in weights})
    (options.folder / "took.json").write_text(json.dumps(took) + "\n", "utf-8")


if __name__ == "__main__":
    main()
