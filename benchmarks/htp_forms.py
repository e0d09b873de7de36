"""The forms of a block beside those that lost: estimated ms, memory traffic, and dB on the emulator.

    python benchmarks/htp_forms.py [--only transformer] [--form "users get"] [--fidelity] [--soc qcs9075]

Blocks of Stable Diffusion 1.5 at their full widths for 512x512, random weights (seed 1). Time and traffic are of one
compile at level 3 with stand-in encodings, the block alone: its own ends pass through memory.

--form      only the rows with this in their title
--fidelity  also the block on the emulator (the chip's own htp_arch), one random input on which it was calibrated: HTP
            against the QDQ graph and that against float. Scores of self-attention flat, and spread 6 times as far.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from alternatives import NOTHING, RESNETS, TRANSFORMERS, UPSAMPLERS, Change, replaced

from qnn_sd import qnn_provider
from qnn_sd.compile.cost import Chip, measure
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.errors import CompileError
from qnn_sd.export.blocks.resnet import resnet
from qnn_sd.export.blocks.transformer import spatial_transformer
from qnn_sd.export.checkpoint import Array, RandomTensors, TensorSource
from qnn_sd.export.graph import Graph, Value
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize import quantize_component, quantize_with_stand_ins
from qnn_sd.reference import reference_session

Shapes = Mapping[str, tuple[int, ...]]
Block = Callable[[Graph, Mapping[str, Value], TensorSource], Value]
PEAKS = (1.0, 6.0)


class Peaked:
    """Random tensors with self-attention's queries times a factor."""

    def __init__(self, peak: float) -> None:
        self._weights, self._peak = RandomTensors(1), np.float32(peak)

    def has(self, name: str) -> bool:
        return self._weights.has(name)

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        found = self._weights.get(name, shape)
        return found * self._peak if name.endswith("attn1.to_q.weight") else found


def transformer(channels: int, side: int) -> tuple[Shapes, Block]:
    options = {"heads": 8, "layers": 1, "groups": 32, "linear_projection": False}

    def block(g: Graph, given: Mapping[str, Value], weights: TensorSource) -> Value:
        return spatial_transformer(g, weights, "block", given["x"], given["c"], **options)

    return {"x": (1, channels, side, side), "c": (1, 77, 768)}, block


def residual(channels: int, out: int, side: int) -> tuple[Shapes, Block]:
    options = {"groups": 32, "epsilon": 1e-5, "act": "silu"}

    def block(g: Graph, given: Mapping[str, Value], weights: TensorSource) -> Value:
        return resnet(g, weights, "block", given["x"], out, time=given["t"], **options)

    return {"x": (1, channels, side, side), "t": (1, 1280)}, block


def upsampler(channels: int, side: int, form: str) -> tuple[Shapes, Block]:
    return {"x": (1, channels, side, side)}, lambda g, given, weights: UPSAMPLERS[form](g, weights, "up", given["x"])


def header(fidelity: bool) -> None:
    more = f"{'HTP/QDQ':>16}{'QDQ/float':>16}" if fidelity else ""
    print(f"{'':54}{'ms':>7}{'lower':>7}{'upper':>7}{'MB':>9}{'spilled':>9}{'MAC/cycle':>10}{'uncosted':>9}{more}")


class Bench:
    """Prints a row for a block in some form."""

    def __init__(self, profile: DeviceProfile, fidelity: bool, form: str) -> None:
        self._profile, self._fidelity, self._form = profile, fidelity, form
        self._chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb)

    def row(self, title: str, shapes: Shapes, block: Block, changes: tuple[Change, ...] = NOTHING) -> None:
        if self._form not in title:
            return
        with replaced(changes), tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
            source, qdq = self._written(Path(scratch), shapes, block, 1.0)
            quantize_with_stand_ins(source, qdq)
            try:
                cost = measure(qdq, self._chip)
            except CompileError as error:
                print(f"{title:54}{error.what}", flush=True)
                return
        estimate = cost.estimate
        assert estimate is not None, "the profile says that the compiler has one"
        print(
            f"{title:54}{estimate.ms:7.2f}{estimate.lower_ms:7.2f}{estimate.upper_ms:7.2f}"
            f"{cost.traffic.total / 1e6:9.1f}{cost.traffic.spilled / 1e6:9.1f}{cost.macs_per_cycle:10.0f}"
            f"{len(estimate.uncosted):9}{self._db(shapes, block, changes)}",
            flush=True,
        )

    def _db(self, shapes: Shapes, block: Block, changes: tuple[Change, ...]) -> str:
        if not self._fidelity:
            return ""
        found = [self._of_peak(shapes, block, changes, peak) for peak in (PEAKS if "c" in shapes else PEAKS[:1])]
        columns = (", ".join(f"{value:.1f}" for value in each) for each in zip(*found, strict=True))
        return "".join(f"{column:>16}" for column in columns)

    def _of_peak(self, shapes: Shapes, block: Block, changes: tuple[Change, ...], peak: float) -> tuple[float, float]:
        rng = np.random.default_rng(7)
        feeds = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
        with replaced(changes), tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
            source, qdq = self._written(Path(scratch), shapes, block, peak)
            quantize_component(source, [feeds], qdq, int8_operands=True)
            exact, expected = (reference_session(each / MODEL_FILE).run(None, feeds)[0] for each in (source, qdq))
            options = qnn_provider.htp_options(self._profile.soc_model, self._profile.htp_arch)
            found = qnn_provider.session(qdq / MODEL_FILE, options).run(None, feeds)[0]
        return sqnr_db(expected, found), sqnr_db(exact, expected)

    @staticmethod
    def _written(scratch: Path, shapes: Shapes, block: Block, peak: float) -> tuple[Path, Path]:
        source, qdq = scratch / "float", scratch / "qdq"
        source.mkdir()
        qdq.mkdir()
        with Graph("block", source) as g:
            g.output(block(g, {name: g.input(name, shape) for name, shape in shapes.items()}, Peaked(peak)), "y")
        return source, qdq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="qcs9075")
    parser.add_argument("--only", choices=("transformer", "resnet", "upsampler"))
    parser.add_argument("--form", default="")
    parser.add_argument("--fidelity", action="store_true")
    options = parser.parse_args()
    bench = Bench(load_profile(options.soc), options.fidelity, options.form)
    header(options.fidelity)
    if options.only in (None, "transformer"):
        for channels, side in ((320, 64), (640, 32), (1280, 16), (1280, 8)):
            for name, changes in TRANSFORMERS.items():
                bench.row(f"transformer {channels}@{side}: {name}", *transformer(channels, side), changes)
    if options.only in (None, "resnet"):
        for channels, out, side in ((320, 320, 64), (960, 320, 64), (640, 640, 32), (2560, 1280, 8)):
            for name, changes in RESNETS.items():
                bench.row(f"resnet {channels} to {out}@{side}: {name}", *residual(channels, out, side), changes)
    if options.only in (None, "upsampler"):
        for channels, side in ((640, 32), (1280, 16), (512, 128), (256, 256)):
            for name in UPSAMPLERS:
                bench.row(f"upsampler {channels}@{side}: {name}", *upsampler(channels, side, name))


if __name__ == "__main__":
    main()
