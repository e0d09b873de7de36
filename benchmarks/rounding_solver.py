"""What the solver's settings are worth: layers of the demo's UNet rounded from few columns and many, on held-out data.

    python benchmarks/rounding_solver.py

A row is how much of the Gram matrix is taken from its diagonal alone (the kit's own rule comes first), a column how
many input columns it is the mean of, in multiples of K, a layer's weights per channel. The figures are the mean gain
over rounding to nearest on held-out data, in dB; layers with fewer columns are left out of a column of the table.
Layers are the 3x3 convolutions and every ninth of the rest; inputs are those of the graph rounded to nearest. Last,
the kit's rule without the single changes at the end. Seed 0.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.adaround import solver
from qnn_sd.quantize.adaround.im2col import im2col_of, input_columns
from qnn_sd.quantize.adaround.layers import by_source, quantized_layers
from qnn_sd.quantize.adaround.moments import error_power, gain_db
from qnn_sd.quantize.adaround.segments import QdqSegments
from qnn_sd.quantize.calibration import evenly_spaced
from qnn_sd.quantize.graph import FloatGraph

MULTIPLES = (None, 2, 1, 1 / 2, 1 / 4, 1 / 8)
SHRINKAGES = (None, 0.02, 0.05, 0.1, 0.2, 0.4)
MOST_COLUMNS = 4096  # of a sample
EVERY = 9


@dataclass(frozen=True)
class Sampled:
    """A layer with the inputs that it was and will be given: columns, [rows, K]."""

    weight: np.ndarray
    scale: np.ndarray
    training: np.ndarray
    held_out: np.ndarray


def sampled(pipeline: BuildPipeline, work: Path) -> list[Sampled]:
    """Layers of the UNet."""
    graph, qdq, chosen = (
        FloatGraph(pipeline.export("unet").folder),
        pipeline.quantize("unet").folder,
        pipeline.model.rounding,
    )
    samples_of_default, _others = pipeline.samples_by_guidance("unet")
    samples = evenly_spaced(samples_of_default, chosen.samples)
    judging = evenly_spaced(pipeline.samples(pipeline.held_out(), "unet"), chosen.held_out)
    runner = QdqSegments(qdq, [*samples, *judging], {}, work)
    found = []
    for number, (source, layers) in enumerate(by_source(quantized_layers(load_structure(qdq))).items()):
        layer = layers[0]
        weight = layer.matrix(graph.array(graph.roles.layers[layer.name].weight)).astype(np.float32)
        if number % EVERY and not (len(layer.weight.dims) == 4 and layer.weight.dims[2] == 3):
            continue
        runner.reach(source)
        rng, im2col = np.random.default_rng([0, number]), im2col_of(layer.node, layer.weight.dims)
        rows = [input_columns(values, im2col, MOST_COLUMNS, rng) for values in runner.values(source)]
        scale = np.broadcast_to(read_array(layer.scale, qdq), len(weight)).astype(np.float32)
        training, held_out = (np.concatenate(part) for part in (rows[: len(samples)], rows[len(samples) :]))
        if np.square(np.rint(weight / scale[:, None]) * scale[:, None] - weight).sum() > 0:
            found.append(Sampled(weight, scale, training, held_out))
    return found


def gain(layer: Sampled, multiple: float | None) -> float | None:
    """dB over nearest on held-out columns; None where there are too few columns to round on."""
    rng, training = np.random.default_rng(0), layer.training
    if multiple is not None:
        rows = int(multiple * layer.weight.shape[1])
        if not 8 <= rows <= len(training):
            return None
        training = training[rng.choice(len(training), rows, replace=False)]
    of = solver.RoundingSolver(training.T @ training / len(training), len(training))
    powers = [
        error_power(integers * layer.scale[:, None] - layer.weight, layer.held_out)
        for integers in (np.rint(layer.weight / layer.scale[:, None]), of.round(layer.weight, layer.scale, 8))
    ]
    return gain_db(*powers)


def row(title: str, layers: list[Sampled], multiples: tuple[float | None, ...] = MULTIPLES) -> None:
    means = defaultdict(list)
    for multiple in multiples:
        means[multiple] = [found for layer in layers if (found := gain(layer, multiple)) is not None]
    print(f"{title:<16}" + "".join(f"{np.mean(found):>9.2f} ({len(found)})" for found in means.values()), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        layers = sampled(BuildPipeline(load_model("tiny-sd"), Console(), rounding="nearest"), Path(work))
    print(f"{'shrunk by':<16}" + "".join(f"{'all' if each is None else f'{each:g} K':>14}" for each in MULTIPLES))
    own = solver._SHRINKAGE, solver._MOST_SHRINKAGE
    for shrinkage in SHRINKAGES:
        solver._SHRINKAGE, solver._MOST_SHRINKAGE = own if shrinkage is None else (shrinkage, shrinkage)
        row("the kit's rule" if shrinkage is None else f"{shrinkage:.0%}", layers)
    solver._SHRINKAGE, solver._MOST_SHRINKAGE = own
    solver._SWEEPS = 0
    row("no changes after", layers)


if __name__ == "__main__":
    main()
