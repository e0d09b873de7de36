"""What Stable Diffusion 1.5 costs in memory traffic on the HTP, by the compiler's own DDR summary.

    python benchmarks/htp_cost.py [--soc sm8650] [--level 3] [--only unet] [--forms] [--parts]
                                  [--peer PEER/bin/python [--plain]]

One row a component at 512x512, full size, random weights and stand-in encodings, beside its floor:
every weight once, the graph's own ends, and each activation that doesn't fit on chip written and read
once. What the model config compiles in parts (``enable_htp_graph_splitting``) is here too, all of them added up.

--forms   each switch of ``qnn_sd/export/forms.py`` alone the other way: what it is worth in the whole graph
--parts   each block compiled alone, the dearest first
--peer    Python of the environment that ``benchmarks/ai_hub_models_unet.py`` describes: AI Hub Models'
          adaptation of the same UNet, through the same quantizer and compiler; with --plain also the UNet
          as it is traced (minutes of compiling more)
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from sd15_shape import write_random

from qnn_sd.compile.cost import Chip, Cost, measure, measure_parts
from qnn_sd.config import load_model, load_profile
from qnn_sd.errors import CompileError
from qnn_sd.export import Forms
from qnn_sd.quantize import quantize_with_stand_ins

COMPONENTS = ("text_encoder", "unet", "vae_decoder")
# Each switch alone the other way, where it says something of the component.
OTHERWISE: dict[str, dict[str, Forms]] = {
    "unet": {
        "tokens whole, not in pieces": Forms(piece_above_mb=1e9),
        "group means by a C x C matrix": Forms(group_mean="matrix"),
        "norm from x, not from its centred copy": Forms(centred_below_mb=0),
        "GroupNorm by LayerNormalization": Forms(group_norm="layer_norm"),
        "attention's values not centred": Forms(centred_values_above=10**6),
        "gamma and beta not folded": Forms(fold_affine=False),
        "time added to every pixel": Forms(time_in_norm=False),
        "linear layers as 1x1 conv": Forms(linear="conv"),
    },
    "vae_decoder": {
        "group means by a C x C matrix": Forms(group_mean="matrix"),
        "nearest neighbour, then conv": Forms(subpixel_above_mb=1e9),
        "attention's queries whole": Forms(piece_above_mb=1e9),
        "attention's values not centred": Forms(centred_values_above=10**6),
    },
    "text_encoder": {
        "gamma and beta not folded": Forms(fold_affine=False),
        "key's and value's biases kept": Forms(fold_biases=False),
        "heads together": Forms(heads="together"),
        "attention's values centred": Forms(centred_values_above=0),
        "linear layers as 1x1 conv": Forms(linear="conv"),
        "tokens' sizes within the table": Forms(token_sizes_apart=False),
    },
}


def row(title: str, cost: Cost, seconds: float, best: Cost | None = None) -> None:
    """Prints a graph's traffic, and how much more it is than the best's."""
    traffic, mega = cost.traffic, 1e6
    more = f"{(traffic.total - best.traffic.total) / mega:+10,.0f}" if best else " " * 10
    print(
        f"{title:42}{traffic.total / mega:10,.0f}{traffic.read / mega:10,.0f}{traffic.written / mega:9,.0f}"
        f"{traffic.spilled / mega:9,.0f}{traffic.filled / mega:9,.0f}{cost.floor.total / mega:8,.0f}"
        f"{traffic.total / cost.floor.total:7.2f}{more}{traffic.parts:6}{cost.level:6}{seconds:7.0f}",
        flush=True,
    )


def header() -> None:
    """Prints the columns' names; MB are 10^6 bytes, in one call."""
    print(
        f"{'MB in one call':42}{'total':>10}{'read':>10}{'written':>9}{'spilled':>9}{'filled':>9}"
        f"{'floor':>8}{'ratio':>7}{'against':>10}{'parts':>6}{'level':>6}{'s':>7}"
    )


class Bench:
    """Measures graphs for one SoC."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.split = load_model("sd15").split_graph

    def measured(self, title: str, source: Path, split: bool, best: Cost | None = None) -> Cost | None:
        """Quantizes and measures a float graph and prints its row; None where the compiler gives up."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as qdq:
            quantize_with_stand_ins(source, Path(qdq))
            try:
                cost = measure(Path(qdq), self.chip, split_graph=split, tell=lambda line: print(f"  {line}"))
            except CompileError as error:
                print(f"{title:42}{error.what}", flush=True)
                return None
        row(title, cost, time.monotonic() - started, best)
        return cost

    def component(self, component: str, title: str, forms: Forms, best: Cost | None = None) -> Cost | None:
        """A component in some forms."""
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as source:
            write_random(component, Path(source), forms)
            return self.measured(title, Path(source), component in self.split, best)

    def parts(self, component: str) -> None:
        """A component's blocks, the dearest first."""
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as folder:
            source, qdq = Path(folder) / "float", Path(folder) / "qdq"
            source.mkdir()
            qdq.mkdir()
            write_random(component, source, Forms())
            quantize_with_stand_ins(source, qdq)
            costs = measure_parts(qdq, self.chip)
        for name, cost in sorted(costs.items(), key=lambda item: -item[1].beyond):
            row(f"  {name}", cost, 0)

    def peer(self, python: str, best: Cost | None, plain: bool) -> None:
        """AI Hub Models' UNet, and diffusers' own as traced."""
        script = Path(__file__).with_name("ai_hub_models_unet.py")
        for title, option in (("unet, AI Hub Models' adaptation", []), ("unet, as traced", ["--plain"])):
            if option and not plain:
                continue
            with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as source:
                subprocess.run([python, str(script), source, *option], check=True, stdout=subprocess.DEVNULL)
                self.measured(title, Path(source), "unet" in self.split, best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--only", choices=COMPONENTS)
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--peer")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    profile = load_profile(options.soc)
    bench = Bench(Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb, options.level))
    header()
    for component in COMPONENTS:
        if options.only in (None, component):
            best = bench.component(component, component, Forms())
            if options.parts:
                bench.parts(component)
            if options.forms:
                for title, forms in OTHERWISE[component].items():
                    bench.component(component, f"  {title}", forms, best)
            if component == "unet" and options.peer:
                bench.peer(options.peer, best, options.plain)


if __name__ == "__main__":
    main()
