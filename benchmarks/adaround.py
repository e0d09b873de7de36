"""Rounding to nearest, our AdaRound and AIMET's, in one run on the same data: the demo model's UNet.

    python benchmarks/adaround.py [--peer PEER/bin/python] [--iterations 10000] [--images 10] [--work FOLDER]

All have the same scales, those of our encodings, and end in the same QDQ graph; only the weights' integers differ.
Both AdaRounds get the same samples and threads, and the layers that nearest changes at all: means and the like it gets
right. ``--peer`` is the Python of the environment that ``benchmarks/aimet_adaround.py`` describes; without it there is
no row of AIMET's. AIMET works with its own settings and with activations that aren't quantized, which is its way; ours
rounds on activations quantized as in the QDQ graph.

SQNR       of the QDQ graph's output on ONNX Runtime's CPU against the float graph's, dB: all held-out samples, and
           the worst one
gain       over nearest, dB, of a layer's output on the inputs that the float graph feeds it, all held-out samples
           (``benchmarks/layer_errors.py``). What a layer makes up for errors of those before it shows in the SQNR
           alone. Of the held-out samples ours has looked at some: a layer that gains nothing on them keeps nearest;
           how many did is said below the table
images   PSNR against the float model's, dB, same prompts and seeds, with nothing but the UNet quantized
seconds    of rounding alone: recording, ranges and starting up count for neither; on the clock, and of the processors.
           Threads are as many as processors that the run may use; where others work as well, torch's wait for each
           other for long, so better ``taskset -c 0 python benchmarks/adaround.py``

AIMET's result is kept in ``--work``, by its data, settings and packages' versions, and taken from there the next time;
a line below the table says so then. Seeds are the model config's; the n-th image's is n.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from aimet_result import Aimet, AimetRounding
from held_out import outputs, sqnr_of_all_and_worst
from layer_errors import IntegersByWeight, error_powers
from measured import measured

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import judge, prompts

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.metrics import psnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.adaround import LayerReport, RoundingData, round_layers
from qnn_sd.quantize.calibration import evenly_spaced
from qnn_sd.quantize.encodings import Encodings
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.qdq_writer import QdqWriter

COMPONENT = "unet"
NEAREST, OURS, AIMET = "nearest", "AdaRound, qnn-sd", "AdaRound, AIMET"


class Bench:
    """Rounds and judges one graph.

    Args:
        pipeline: of the model.
        scratch: an empty folder.
    """

    def __init__(self, pipeline: BuildPipeline, scratch: Path) -> None:
        self.pipeline, self.scratch = pipeline, scratch
        ranges, judging = measured(pipeline, COMPONENT), pipeline.samples(pipeline.held_out(), COMPONENT)
        self.graph: FloatGraph = ranges.graph
        self.encodings: Encodings = ranges.encodings()
        self.training = evenly_spaced(ranges.samples, pipeline.model.rounding.samples)
        self.judging = list(judging)
        self.vetoing = evenly_spaced(judging, pipeline.model.rounding.held_out)
        weights = {layer.weight for layer in self.graph.roles.layers.values()}
        self.nearest: IntegersByWeight = {
            name: self.encodings.parameters[name].quantize(self.graph.array(name)) for name in weights
        }

    def written(self, name: str, integers: IntegersByWeight) -> Path:
        """The QDQ graph with these integers: its folder."""
        folder = self.scratch / name
        folder.mkdir()
        QdqWriter(self.graph, self.encodings, folder, {**self.nearest, **integers}).write()
        return folder

    def rounded_by_us(self, nearest: Path) -> tuple[IntegersByWeight, list[LayerReport], tuple[float, float]]:
        """Our integers, what became of each layer, and the seconds on the clock and of the processors."""
        work = self.scratch / "work"
        work.mkdir()
        started, worked = time.monotonic(), time.process_time()
        integers, reports = round_layers(self.graph, nearest, RoundingData(self.training, self.vetoing, work))
        return integers, reports, (time.monotonic() - started, time.process_time() - worked)

    def gains(self, roundings: Mapping[str, IntegersByWeight], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Of each layer, in dB over nearest."""
        whole = {name: {**self.nearest, **integers} for name, integers in roundings.items()}
        powers = error_powers(self.graph, self.encodings, whole, layers, self.judging)
        errors = {name: np.array([of[layer] for layer in layers]) for name, of in powers.items()}
        return {name: 10 * np.log10(errors[NEAREST] / found) for name, found in errors.items()}

    def psnr(self, folders: Mapping[str, Path], count: int) -> dict[str, list[float]]:
        """PSNR in dB of images by each QDQ graph against the float model's."""
        bundle = self.pipeline.cpu_bundle("float")
        texts = [text for text, _ in prompts.seen()[:count]]
        expected = judge.generate(bundle, texts)
        return {
            name: [
                psnr_db(*pair)
                for pair in zip(
                    expected, judge.generate(bundle, texts, instead={COMPONENT: folder / MODEL_FILE}), strict=True
                )
            ]
            for name, folder in folders.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of AIMET's environment")
    parser.add_argument("--iterations", type=int, default=10_000, help="AIMET's, of a layer (its default: 10000)")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "adaround", help="where AIMET's result is kept")
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    console = Console()
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
        bench = Bench(BuildPipeline(load_model("tiny-sd"), console), Path(scratch))
        folders = {NEAREST: bench.written(NEAREST, {})}
        console.say(f"rounding {COMPONENT}: qnn-sd")
        ours, reports, took = bench.rounded_by_us(folders[NEAREST])
        roundings: dict[str, IntegersByWeight] = {NEAREST: {}, OURS: ours}
        seconds = {OURS: took}
        layers = [report.layer for report in reports if report.gain_db is not None]
        aimet = None
        if options.peer:
            console.say(f"rounding {COMPONENT}: AIMET, {options.iterations} iterations a layer")
            peer = Aimet(options.peer, options.work, options.iterations, threads)
            aimet = peer.round(bench.graph, bench.encodings, bench.training, layers)
            roundings[AIMET] = aimet.integers
            seconds[AIMET] = (aimet.seconds, aimet.processor_seconds)
        folders |= {name: bench.written(name, roundings[name]) for name in seconds}
        expected = outputs(bench.graph.folder, bench.judging)
        sqnr = {name: sqnr_of_all_and_worst(expected, outputs(each, bench.judging)) for name, each in folders.items()}
        gains = bench.gains(roundings, layers)
        psnr = bench.psnr(folders, options.images)

    print(
        f"{COMPONENT} of {bench.pipeline.model.name}: {len(layers)} layers that nearest changes, of {len(reports)};"
        f" {len(bench.training)} samples, {len(bench.judging)} held out; {threads} threads"
    )
    print(f"{'':18}{'SQNR, dB':>16}{'gain, dB':>17}{'layers':>10}{'images, dB':>16}{'seconds':>22}")
    print(f"{'':18}{'all':>8}{'worst':>8}{'median':>9}{'least':>8}{'better':>10}", end="")
    print(f"{'median':>8}{'least':>8}{'clock':>10}{'processors':>12}")
    for name in folders:
        row(name, sqnr[name], gains[name], psnr[name], seconds.get(name))
    kept = sum(report.kept == "nearest" for report in reports) - (len(reports) - len(layers))
    print(f"qnn-sd kept nearest for {kept} layers")
    if aimet:
        explain(aimet, options.iterations, seconds)


def row(
    name: str,
    sqnr: tuple[float, float],
    gains: np.ndarray,
    psnr: Sequence[float],
    seconds: tuple[float, float] | None,
) -> None:
    """Prints what one way of rounding is worth."""
    print(f"{name:18}{sqnr[0]:>8.1f}{sqnr[1]:>8.1f}", end="")
    print(f"{np.median(gains):>9.1f}{gains.min():>8.1f}{(gains > 0).sum():>10}", end="")
    print(f"{statistics.median(psnr):>8.1f}{min(psnr):>8.1f}", end="")
    print(f"{seconds[0]:>10,.0f}{seconds[1]:>12,.0f}" if seconds else "")


def explain(aimet: AimetRounding, iterations: int, seconds: Mapping[str, tuple[float, float]]) -> None:
    """Prints what is to be known of AIMET's row."""
    (ours, ours_worked), (theirs, theirs_worked) = seconds[OURS], seconds[AIMET]
    print(
        f"AIMET took {theirs / ours:,.0f} times as long, {theirs_worked / ours_worked:,.1f} times the processors' time"
        f"{', by an earlier run of it' if aimet.stored else ''}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in aimet.versions.items())
    print(f"AIMET: {iterations} iterations a layer; {versions}")
    print(
        f"AIMET: of {aimet.weights:,} weights {aimet.unsettled:,} left between two integers,"
        f" {aimet.strayed:,} neither the integer below nor the one above; weights not rounded:"
        f" {', '.join(aimet.skipped) or 'none'}"
    )


if __name__ == "__main__":
    main()
