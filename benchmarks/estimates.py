"""What qnn-sd says a command will take against what it takes, in a fresh cache, on one core and on two.

    python benchmarks/estimates.py [--full CHECKPOINT] [--stages] [--cores 1,2]

The demo: ``compile`` for sm8650 and an image on the emulator. With ``--full`` instead, a checkpoint of Stable Diffusion
1.5's size (``random_checkpoint.py`` writes one): ``export``, and an image of 2 steps on the CPU; 10 GB of disk and 8 GB
of memory. Predicted is what ``--dry-run`` says just before; CPU seconds are those of the command and its children, the
same whatever else the machine does. ``--stages`` lists each stage of the demo's compile.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = "a red circle on a blue background"


def command(*arguments: str, cache: Path) -> list[str]:
    return [sys.executable, "-m", "qnn_sd", *arguments, "--cache", str(cache)]


def predicted(arguments: list[str], cache: Path) -> dict[str, Any]:
    """The plan of ``--dry-run``."""
    done = subprocess.run(
        command(*arguments, "--dry-run", "--json", cache=cache), check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def actual(arguments: list[str], cache: Path) -> tuple[float, float, float]:
    """Seconds by the clock, CPU seconds, and GB that the cache has grown to."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(command(*arguments, "--quiet", cache=cache), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e9


def measured_stages(cache: Path) -> dict[tuple[str, str], float]:
    """What each stage took by its manifest, by stage and name."""
    manifests = [json.loads(path.read_text("utf-8")) for path in cache.glob("*/*/manifest.json")]
    return {(each["stage"], each["name"]): each["seconds"] for each in manifests}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--cores", default="1,2", type=lambda text: [int(each) for each in text.split(",")])
    given = parser.parse_args()
    everything = sorted(os.sched_getaffinity(0))
    heads = f"{'command':<32}{'cores':>6}{'predicted':>11}{'actual':>9}{'ratio':>7}"
    print(f"{heads}{'CPU':>9}{'GB said':>9}{'GB':>7}{'load':>6}")
    for cores in given.cores:
        os.sched_setaffinity(0, everything[:cores])
        with tempfile.TemporaryDirectory() as work:
            measure(Path(work), cores, given.full, given.stages)
    os.sched_setaffinity(0, everything)


def measure(work: Path, cores: int, checkpoint: Path | None, stages: bool) -> None:
    """Prints a row for each command, one after the other in one cache."""
    cache, held = work / "cache", 0.0
    image = ["run", PROMPT, "--seed", "1", "-o", str(work / "out.png")]
    commands = {"compile": ["compile"], "run, emulator": image}
    if checkpoint is not None:
        model = ["--model", "sd15", "--checkpoint", str(checkpoint)]
        commands = {
            "export, SD 1.5": ["export", *model],
            "run, CPU, 2 steps, SD 1.5": [*image, "--target", "cpu", "--steps", "2", *model],
        }
    for name, arguments in commands.items():
        plan = predicted(arguments, cache)
        load = os.getloadavg()[0]
        seconds, used, size = actual(arguments, cache)
        said = plan["estimated_seconds"]
        print(
            f"{name:<32}{cores:>6}{said:>9.1f} s{seconds:>7.1f} s{said / seconds:>7.2f}{used:>7.1f} s"
            f"{plan['disk_bytes'] / 1e9:>9.2f}{size - held:>7.2f}{load:>6.1f}",
            flush=True,
        )
        held = size
        if stages and name == "compile":
            show_stages(plan, measured_stages(cache))


def show_stages(plan: dict[str, Any], took: dict[tuple[str, str], float]) -> None:
    for stage in plan["stages"]:
        name = ".".join(filter(None, (plan["model"], stage["component"], stage["subject"])))
        seconds = took[stage["stage"], name]
        said = stage["estimated_seconds"]
        print(f"  {stage['stage']:<10}{name:<28}{said:>9.1f} s{seconds:>7.1f} s{said / max(seconds, 0.01):>7.2f}")


if __name__ == "__main__":
    main()
