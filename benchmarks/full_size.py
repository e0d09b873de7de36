"""The pipeline at Stable Diffusion 1.5's size: a checkpoint with random weights to verified binaries for two SoCs.

    python benchmarks/full_size.py WORK_FOLDER [--socs sm8550,sm8650] [--rounding nearest]

Needs 20 GB of disk in WORK_FOLDER and 12 GB of memory. Each stage runs in a process of its own; a row has its
time and the most memory that it and its children held at once: all resident pages, and of them those that are no
file's (of mapped weights the system drops pages when it wants to). Stages that are in WORK_FOLDER already are not
run again, and their rows are shown as they were measured. SQNR over all inputs / of the worst one / of the worst
difference of the two guidance passes. Seeds are the model config's, the checkpoint's is 0. Rounding to nearest takes
an hour less than AdaRound, and the binaries are held against the same QDQ graphs either way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from random_checkpoint import write_checkpoint

from qnn_sd import artifact, output_files
from qnn_sd.config import Rounding, load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.pipeline import COMPONENTS, TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

EVERY_SECONDS = 0.5
# The UNet, which takes longest, comes last: what is wrong with the others shows sooner.
ORDER = sorted(COMPONENTS, key=lambda component: component == "unet")


@dataclass(frozen=True)
class Row:
    """What a stage took.

    Attributes:
        stage: its name here.
        seconds: from start to end of its process.
        resident: the most bytes that were resident at once.
        anonymous: of them, and not at the same time perhaps, those that are no file's.
        metadata: what it says of its results.
    """

    stage: str
    seconds: float
    resident: int
    anonymous: int
    metadata: str


def opened(work: Path, rounding: Rounding) -> BuildPipeline:
    sources = Sources(work / "checkpoint")
    return BuildPipeline(load_model("sd15"), Console(), sources, work / "cache", rounding=rounding)


def run_stage(work: Path, rounding: Rounding, stage: str) -> str:
    """Makes one stage, everything before it being there; returns what to show of its result."""
    pipeline = partial(opened, work, rounding)
    match stage.split():
        case ["checkpoint"]:
            shutil.rmtree(work / "checkpoint", ignore_errors=True)  # of a run that was cut off
            write_checkpoint(work / "checkpoint")
            shown: object = "float16, seed 0"
        case ["export"]:
            shown = f"{sum(size(pipeline().export(each)) for each in COMPONENTS) / 1e9:.2f} GB"
        case ["calibrate"]:
            shown = dict(pipeline().calibration().metadata)
        case ["held-out"]:
            shown = dict(pipeline().held_out().metadata)
        case ["quantize", component]:
            shown = pipeline().quantize(component).metadata.get("rounding", "to nearest")
        case ["compile", component, soc]:
            metadata = pipeline().compile(component, load_profile(soc)).metadata
            shown = f"{metadata['context_binary_bytes'] / 1e6:,.0f} MB, level {metadata['optimization_mode']}"
        case ["verification"]:
            shown = dict(pipeline().verification().metadata)
        case ["verify-quantization", component]:
            shown = f"{pipeline().verify_quantization(component).qdq_against_float.text} dB"
        case ["verify", soc]:
            verified = pipeline().verify(COMPONENTS, load_profile(soc))
            binaries = {component: made.binary_against_qdq for component, made in verified.items()}
            shown = {component: f"{found.text} dB" for component, found in binaries.items() if found}
        case _:
            raise ValueError(stage)
    return str(shown)


def size(made: artifact.Artifact) -> int:
    return sum(path.stat().st_size for path in made.folder.rglob("*") if path.is_file())


def stages(socs: list[str], rounding: Rounding) -> list[str]:
    """All, in order."""
    return [
        "checkpoint",
        "export",
        "calibrate",
        *(["held-out"] if rounding == "adaround" else []),
        "verification",
        *(f"{stage} {component}" for component in ORDER for stage in ("quantize", "verify-quantization")),
        *(f"compile {component} {soc}" for soc in socs for component in ORDER),
        *(f"verify {soc}" for soc in socs),
    ]


def measured(work: Path, rounding: Rounding, stage: str, cores: set[int] | None = None) -> Row:
    """Runs a stage in a process of its own and watches it; on some of the cores alone, if they are named."""
    started = time.monotonic()
    command = [sys.executable, __file__, str(work), "--rounding", rounding, "--stage", stage]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if cores:
        os.sched_setaffinity(child.pid, cores)
    most = [0, 0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY_SECONDS):
            held = memory_of(child.pid)
            most[:] = [max(pair) for pair in zip(most, held, strict=True)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, _ = child.communicate()
    ended.set()
    watcher.join()
    if child.returncode != 0:
        raise SystemExit(f"{stage} ended with status {child.returncode}")
    return Row(stage, time.monotonic() - started, most[0], most[1], printed.strip())


def memory_of(process: int) -> tuple[int, int]:
    """Resident and anonymous bytes of a process and its descendants."""
    resident = anonymous = 0
    for each in [process, *descendants(process)]:
        try:
            lines = Path(f"/proc/{each}/status").read_text("ascii", "replace").splitlines()
        except OSError:
            continue  # it ended meanwhile
        found = {key: value for key, _, value in (line.partition(":") for line in lines)}
        resident += 1024 * int(found.get("VmRSS", "0").split()[0])
        anonymous += 1024 * int(found.get("RssAnon", "0").split()[0])
    return resident, anonymous


def descendants(process: int) -> list[int]:
    found = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text("ascii").split():
                found += [int(child), *descendants(int(child))]
    except OSError:
        pass  # it ended meanwhile
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--socs", default="sm8550,sm8650", type=lambda text: text.split(","))
    parser.add_argument("--rounding", default="adaround", choices=get_args(Rounding))
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(run_stage(given.work, given.rounding, given.stage))
        return
    given.work.mkdir(parents=True, exist_ok=True)
    kept = given.work / "rows.json"
    rows = {row["stage"]: Row(**row) for row in json.loads(kept.read_text("utf-8"))} if kept.exists() else {}
    print(f"{platform.platform()}, {os.cpu_count()} cores, {total_memory() / 1e9:.0f} GB")
    print(f"{'stage':<32}{'minutes':>9}{'GB':>7}{'of it anonymous':>17}  result")

    def run(missing: dict[str, set[int] | None]) -> None:
        """Runs stages side by side, each on its cores."""
        with ThreadPoolExecutor(max(1, len(missing))) as threads:
            started = {
                stage: threads.submit(measured, given.work, given.rounding, stage, cores)
                for stage, cores in missing.items()
            }
            for stage, row in started.items():
                rows[stage] = row.result()
        with output_files.written_aside(kept) as aside:
            aside.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1), "utf-8")

    of_socs = [f"verify {soc}" for soc in given.socs]
    free = sorted(os.sched_getaffinity(0))
    for stage in stages(given.socs, given.rounding):
        if stage not in rows:
            # The emulator computes in one thread: a core for each SoC.
            missing = [each for each in of_socs if each not in rows]
            side_by_side = {each: {free[place % len(free)]} for place, each in enumerate(missing)}
            run(side_by_side if stage in of_socs else {stage: None})
        row = rows[stage]
        print(
            f"{stage:<32}{row.seconds / 60:>9.1f}{row.resident / 1e9:>7.1f}"
            f"{row.anonymous / 1e9:>17.1f}  {row.metadata}",
            flush=True,
        )
    shown = [rows[stage] for stage in stages(given.socs, given.rounding)]
    minutes = sum(row.seconds for row in shown) / 60
    print(f"{'all':<32}{minutes:>9.1f}{max(row.resident for row in shown) / 1e9:>7.1f}", end="")
    print(f"{max(row.anonymous for row in shown) / 1e9:>17.1f}")
    on = opened(given.work, given.rounding)
    for soc in given.socs:
        sizes = {name: on.compile(name, load_profile(soc)).metadata["context_binary_bytes"] for name in COMPONENTS}
        images = sum(sizes[name] for name in TEXT_TO_IMAGE_COMPONENTS)
        print(f"{soc}: {sum(sizes.values()) / 1e9:.3f} GB, without the VAE encoder {images / 1e9:.3f} GB")


def total_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
