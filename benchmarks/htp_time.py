"""What Stable Diffusion 1.5 takes on the HTP by the compiler's estimate, beside what Qualcomm measured on the chip.

    python benchmarks/htp_time.py [--only unet] [--before COMMIT] [--levels] [--bound] [--soc qcs9075]

One row a component for images of 512x512, full size, random weights (seed 0) and stand-in encodings, compiled whole
at level 3, as users' binaries are: estimate and memory traffic are of that one compile. "measured" is Qualcomm's own
graph of the component on that chip (``device_profiles``): an estimate is none (benchmarks/estimate_against_silicon.py
says how far they lie apart).

--before  the same of another commit, whose exporter, quantizer and compile stage do the work
--levels  each level of the component compiled alone
--bound   also with a product in the place of each op that has no cost: minutes more

The UNet takes 4 minutes and 8 GB on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sd15_shape import write_random

from qnn_sd.compile.cost import Chip, Cost, measure, measure_bound, measure_parts
from qnn_sd.compile.estimate import Estimate, profiling_options, read_estimate
from qnn_sd.compile.traffic import Traffic, TrafficReader
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.qnn_provider import versions
from qnn_sd.quantize import quantize_with_stand_ins

COMPONENTS = ("text_encoder", "unet", "vae_decoder")
LEVEL = 3
ROOT = Path(__file__).parents[1]
# In the other commit's Python path; its compiler's log is our standard input.
OF_COMMIT = """
import json, sys
from pathlib import Path
component, scratch, soc_model, htp_arch, level, options = json.loads(sys.argv[1])
from sd15_shape import write_random
from qnn_sd.compile.process import Job, run
from qnn_sd.quantize import quantize_with_stand_ins
folders = [Path(scratch) / name for name in ("float", "qdq", "binary")]
for folder in folders:
    folder.mkdir()
try:
    from qnn_sd.export import Forms
    write_random(component, folders[0], Forms())
except ImportError:
    write_random(component, folders[0])
quantize_with_stand_ins(*folders[:2])
job = Job(folders[1], folders[2], soc_model, htp_arch, level, options, verbose=True)
sys.exit(run(job, lambda line: print(line, end="")).code)
"""


def header() -> None:
    print(
        f"{'':34}{'ms':>8}{'lower':>8}{'upper':>8}{'measured':>10}{'GB':>8}{'read':>8}{'written':>8}{'spilled':>8}"
        f"{'filled':>8}{'GMAC':>8}{'MAC/cycle':>10}{'uncosted':>9}{'s':>6}"
    )


def row(title: str, estimate: Estimate, traffic: Traffic, macs: int, measured: float | None, seconds: float) -> None:
    """Prints a graph's figures; GB are 10^9 bytes of one call."""
    giga = (each / 1e9 for each in (traffic.total, traffic.read, traffic.written, traffic.spilled, traffic.filled))
    rate = f"{macs / 1e9:8.1f}{macs / estimate.cycles:10.0f}" if macs else f"{'':18}"
    print(
        f"{title:34}{estimate.ms:8.1f}{estimate.lower_ms:8.1f}{estimate.upper_ms:8.1f}"
        f"{f'{measured:g}' if measured else '':>10}{''.join(f'{each:8.2f}' for each in giga)}{rate}"
        f"{len(estimate.uncosted):9}{seconds:6.0f}",
        flush=True,
    )


def measured_row(title: str, cost: Cost, measured: float | None, seconds: float) -> None:
    assert cost.estimate is not None, "the profile says that the compiler has one"
    row(title, cost.estimate, cost.traffic, cost.macs, measured, seconds)


def before(commit: str, component: str, profile: DeviceProfile, published: float | None) -> None:
    """The row of another commit."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
        code = Path(scratch) / "code"
        code.mkdir()
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", code], input=archive, check=True)
        profiling = Path(scratch) / "profile.csv"
        options = {"htp_graph_finalization_optimization_mode": str(LEVEL), **profiling_options(profiling)}
        request = [component, scratch, profile.soc_model, profile.htp_arch, LEVEL, options]
        reader = TrafficReader()
        with subprocess.Popen(
            [sys.executable, "-c", OF_COMMIT, json.dumps(request)],
            cwd=code,  # which stands before everything in Python's path
            env={**os.environ, "PYTHONPATH": f"{code}{os.pathsep}{code / 'benchmarks'}"},
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None, "it was asked for"
            for line in process.stdout:
                reader(line)
        estimate = read_estimate(profiling)
    if process.returncode or estimate is None or not reader.found.complete:
        print(f"{component} at {commit[:9]}: no estimate (exit code {process.returncode})")
        return
    row(f"{component} at {commit[:9]}", estimate, reader.found, 0, published, time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="qcs9075")
    parser.add_argument("--only", choices=COMPONENTS)
    parser.add_argument("--before")
    parser.add_argument("--levels", action="store_true")
    parser.add_argument("--bound", action="store_true")
    options = parser.parse_args()
    profile = load_profile(options.soc)
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb, LEVEL)
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    header()
    for component in COMPONENTS:
        if options.only not in (None, component):
            continue
        published = getattr(profile.published_ms, component, None)
        if options.before:
            before(options.before, component, profile, published)
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
            source, qdq = Path(scratch) / "float", Path(scratch) / "qdq"
            source.mkdir()
            qdq.mkdir()
            started = time.monotonic()
            write_random(component, source)
            quantize_with_stand_ins(source, qdq)
            cost = measure(qdq, chip)
            measured_row(component, cost, published, time.monotonic() - started)
            if options.bound and (bound := measure_bound(qdq, cost, chip)):
                row("  uncosted ops as products", bound, cost.traffic, cost.macs, None, time.monotonic() - started)
            if options.levels:
                for name, part in measure_parts(qdq, chip, by_level=True).items():
                    measured_row(f"  {name}", part, None, 0)


if __name__ == "__main__":
    main()
