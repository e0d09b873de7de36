"""How far the QNN compiler's estimate of a graph's time lies from measurements on the very chip, net by net.

    python benchmarks/estimate_against_silicon.py [--soc qcs9075] [--only NET] [--sd15] [--layer-norm]

Qualcomm publishes milliseconds a call, W8A16, for the IQ-9075, one of the chips that the compiler has estimates for.
Each net (``benchmarks/nets``) is written with random weights, quantized with stand-in encodings and compiled for that
chip as ``qnn_sd/compile/cost.py`` does it. Stable Diffusion 1.5's text encoder is our own graph of it.

GMAC       10^9 multiply-accumulates of a call
MB         10^6 bytes through DDR in a call, by the compiler's summary; spilled: those of them that go out and come back
           because they don't fit on chip
MAC/cycle  by the estimate
estimate   ms, with the compiler's lower and upper estimate
uncosted   ops that the compiler counts as nothing: the estimate is too low by them; named below the table
bound      the estimate with a product in the place of each uncosted op
float LN   the estimate where LayerNormalizations run in float, with 16-bit parameters. For all other columns they have
           AI Hub Models' encodings, with which they run in integers (``benchmarks/nets/integer_norms.py``)
ORT        measured through ONNX Runtime: AI Hub Models' onnx, or precompiled_qnn_onnx
QNN        measured with QNN alone: its qnn_dlc, or qnn_context_binary
ratios     estimate / measured

--layer-norm  instead of the table: one LayerNormalization between two linear layers, by its number of rows
--sd15     Stable Diffusion 1.5's UNet and VAE decoder as well, our own graphs (many minutes, 8 GB)
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from nets import BUILDERS, Layers, Published, published, write_net
from nets.integer_norms import make_norms_integer
from sd15_shape import write_random

from qnn_sd.compile.cost import Chip, Cost, measure, measure_bound
from qnn_sd.compile.estimate import Estimate
from qnn_sd.config import load_profile
from qnn_sd.errors import CompileError
from qnn_sd.export.graph import Graph
from qnn_sd.onnx_files import load_structure
from qnn_sd.quantize import quantize_with_stand_ins

SOCS = ("qcs9075",)
NETS = (*BUILDERS, "text_encoder")
SD15 = ("unet", "vae_decoder")
ROUTES = {"ORT": ("onnx", "precompiled_qnn_onnx"), "QNN": ("qnn_dlc", "qnn_context_binary")}
# How far a net's number of parameters may lie from what is published in three digits.
SLACK = 0.02


@dataclass(frozen=True)
class Row:
    """A net's estimate beside what was measured.

    Attributes:
        name: of the net.
        parameters: how many it has.
        cost: what the compiler says.
        estimate: its estimate of the time.
        bound: its estimate with a product in the place of each op without a cost.
        float_norms: its estimate with LayerNormalizations in float; None without any.
        uncosted: how many ops without a cost there are of each type.
        metadata: what is published.
    """

    name: str
    parameters: int
    cost: Cost
    estimate: Estimate
    bound: Estimate
    float_norms: Estimate | None
    uncosted: Counter[str]
    metadata: Published

    def measured(self, route: str) -> float:
        """Milliseconds by one of ``ROUTES``."""
        return next(self.metadata.ms[runtime] for runtime in ROUTES[route] if runtime in self.metadata.ms)

    def ratio(self, route: str) -> float:
        """Estimate by measurement."""
        return self.estimate.ms / self.measured(route)

    def __str__(self) -> str:
        cost, estimate, traffic = self.cost, self.estimate, self.cost.traffic
        rest = f"{self.float_norms.ms:10.2f}" if self.float_norms else f"{'-':>10}"
        return (
            f"{self.name:23}{self.metadata.kind:24}{self.parameters / 1e6:8.2f}{cost.macs / 1e9:8.2f}"
            f"{traffic.total / 1e6:8.0f}{(traffic.spilled + traffic.filled) / 1e6:8.0f}"
            f"{cost.macs / estimate.cycles:10.0f}{estimate.ms:10.2f}"
            f"{estimate.lower_ms:8.2f}{estimate.upper_ms:8.2f}{self.uncosted.total():9}{self.bound.ms:8.2f}{rest}"
            + "".join(f"{self.measured(route):8.2f}" for route in ROUTES)
            + "".join(f"{self.ratio(route):8.2f}" for route in ROUTES)
        )


def header() -> str:
    """The columns' names."""
    return (
        f"{'W8A16, batch 1':23}{'kind':24}{'Mparam':>8}{'GMAC':>8}{'MB':>8}{'spilled':>8}"
        f"{'MAC/cycle':>10}{'estimate':>10}{'lower':>8}{'upper':>8}{'uncosted':>9}{'bound':>8}{'float LN':>10}"
        + "".join(f"{route:>8}" for route in ROUTES)
        + "".join(f"{'/' + route:>8}" for route in ROUTES)
    )


def written(name: str, folder: Path, metadata: Published) -> int:
    """Writes a net's float graph and returns how many parameters it has, which are as many as published."""
    # What isn't there is a network of this package, in its own forms.
    parameters = write_net(name, folder) if name in BUILDERS else write_random(name, folder).parameters
    if metadata.parameters is not None and not abs(parameters / metadata.parameters - 1) <= SLACK:
        raise SystemExit(f"{name} has {parameters:,} parameters here; published are {metadata.parameters:,.0f}")
    return parameters


def measured(name: str, chip: Chip, metadata: Published) -> Row:
    """Writes, quantizes and compiles a net.

    Raises:
        CompileError: the compiler refused it or died of it.
    """
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as aside:
        source, qdq = Path(aside) / "float", Path(aside) / "qdq"
        source.mkdir()
        qdq.mkdir()
        parameters = written(name, source, metadata)
        quantize_with_stand_ins(source, qdq)
        float_norms = measure(qdq, chip).estimate if has_norms(qdq) else None
        make_norms_integer(qdq)
        cost = measure(qdq, chip, report=lambda line: print(f"  {name}: {line}", flush=True))
        bound = measure_bound(qdq, cost, chip)
        if cost.estimate is None or bound is None:
            raise SystemExit(f"The compiler has no estimate for soc_model {chip.soc_model}")
        uncosted = op_types(qdq, cost.estimate.uncosted)
        return Row(name, parameters, cost, cost.estimate, bound, float_norms, uncosted, metadata)


def has_norms(qdq: Path) -> bool:
    """Whether a model has LayerNormalizations."""
    return any(node.op_type == "LayerNormalization" for node in load_structure(qdq).graph.node)


def print_layer_norms(chip: Chip) -> None:
    """Prints the estimate of a LayerNorm of 768 features between two linear layers, in integers and in float."""
    print(f"{'rows':>6}{'no LayerNorm, ms':>18}{'in integers':>13}{'in float':>10}")
    for rows in (64, 77, 80, 197, 200, 256, 1024, 1370, 1376, 1500, 1504):
        forms = ((False, False), (True, True), (True, False))
        none, integer, floating = (layer_norm_estimate(rows, norm, integers, chip) for norm, integers in forms)
        print(f"{rows:6}{none:18.3f}{integer:13.3f}{floating:10.3f}", flush=True)


def layer_norm_estimate(rows: int, norm: bool, integers: bool, chip: Chip) -> float:
    """The estimate in ms of two linear layers, with a LayerNorm between them or without.

    Raises:
        CompileError: as ``measured``.
    """
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as aside:
        source, qdq = Path(aside) / "float", Path(aside) / "qdq"
        source.mkdir()
        qdq.mkdir()
        with Graph("norm", source) as g:
            net = Layers(g)
            x = net.linear("before", g.input("x", (1, rows, 768)), 768)
            x = net.layer_norm("norm", x) if norm else x
            g.output(net.linear("after", x, 768), "y")
        quantize_with_stand_ins(source, qdq)
        if integers:
            make_norms_integer(qdq)
        estimate = measure(qdq, chip).estimate
        if estimate is None:
            raise SystemExit(f"The compiler has no estimate for soc_model {chip.soc_model}")
        return estimate.ms


def op_types(qdq: Path, names: Iterable[str]) -> Counter[str]:
    """How many there are of each type among the ops of these names, or of outputs of these names."""
    types: dict[str, str] = {}
    for node in load_structure(qdq).graph.node:
        types |= dict.fromkeys([node.name, *node.output], node.op_type)
    return Counter(types.get(name, "made by the compiler") for name in names)


def evenly_spaced(title: str, ratios: Sequence[float]) -> str:
    """Smallest and largest, geometric mean and geometric standard deviation."""
    logs = [math.log(ratio) for ratio in ratios]
    deviation = f"{math.exp(statistics.stdev(logs)):.2f}" if len(logs) > 1 else "-"
    return (
        f"{title}: {min(ratios):.2f} to {max(ratios):.2f}, geometric mean {math.exp(statistics.fmean(logs)):.2f},"
        f" geometric standard deviation {deviation}, {len(ratios)} nets"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default=SOCS[0], choices=SOCS)
    parser.add_argument("--only", choices=(*NETS, *SD15), action="append")
    parser.add_argument("--sd15", action="store_true")
    parser.add_argument("--layer-norm", action="store_true")
    options = parser.parse_args()
    profile, metadata = load_profile(options.soc), published(options.soc)
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb)
    names = options.only or (*NETS, *(SD15 if options.sd15 else ()))
    packages = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "onnxruntime-qnn"))
    print(f"{profile.title} (soc_model {chip.soc_model}); {packages}; measured: AI Hub Models 0.65.0, QAIRT 2.50")
    if options.layer_norm:
        print_layer_norms(chip)
        return
    print(header(), flush=True)
    rows = []
    for name in names:
        try:
            rows.append(measured(name, chip, metadata[name]))
        except CompileError as error:
            print(f"{name:23}{error.what}", flush=True)
            continue
        print(rows[-1], flush=True)
    if not rows:
        raise SystemExit("No net was compiled.")
    for row in rows:
        if row.uncosted:
            print(f"uncosted in {row.name}: {', '.join(f'{n} {op}' for op, n in row.uncosted.most_common())}")
    for route, runtimes in ROUTES.items():
        print(evenly_spaced(f"estimate / {' or '.join(runtimes)}", [row.ratio(route) for row in rows]))
    clocks = sorted({round(row.estimate.cycles / row.estimate.ms / 1e6, 2) for row in rows})
    print(f"clock that the estimates assume, GHz: {', '.join(f'{clock:g}' for clock in clocks)}")


if __name__ == "__main__":
    main()
