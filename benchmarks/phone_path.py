"""What the way to a phone costs, measured on the virtual phone behind a real adb.

    python benchmarks/phone_path.py [--megabytes 400] [--rounds 5] [--steps 40]

One run shows four things: a second staging sends nothing; at what rate files are sent, and at what
rate they are staged (sent, joined, hashed on the phone, renamed), against `adb push` of the same
files in turn; what the host path adds to a UNet step at Stable Diffusion 1.5's tensor sizes, wall
time less what the worker computed; and how often a session of two images loads each component.
Needs the extra phone and a Java. Times are this machine's, not a phone's: the cable is loopback, and
phone, adb and host share its cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import numpy as np

from qnn_sd.bundle_manifest import Soc
from qnn_sd.compile import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.export import UNET, GraphSize, write_graph
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.health_checks import adb_path
from qnn_sd.quantize import quantize_component
from qnn_sd.targets.adb.client import Adb, Phone
from qnn_sd.targets.adb.session.deployment import htp_options, worker_files
from qnn_sd.targets.adb.session.runner import AdbRunner
from qnn_sd.targets.adb.session.worker_session import WorkerSession
from qnn_sd.targets.adb.staging import PIECE_BYTES, STAGING_FOLDER, FileSet, SyncSender, read_chunks, stage
from qnn_sd.targets.adb.worker.protocol import ComputeUnit
from qnn_sd.worker_jars import PHONE_JAR

TMP = "/data/local/tmp"
QUIET = Console(quiet=True)
PROFILE = load_profile("sm8650")
LATENT, CONTEXT = (1, 4, 64, 64), (1, 77, 768)
UNET_CONFIG = {
    "block_out_channels": (32, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": CONTEXT[2],
    "attention_head_dim": 2,
    "norm_num_groups": 16,
}
# Stable Diffusion 1.5's three components, and small files as they come beside them.
PARTS = (0.78, 0.12, 0.05, 0.04, 0.01)


@contextmanager
def virtual_phone(home: Path) -> Iterator[Phone]:
    """A phone and an adb server of their own, in processes of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(HOME=str(home), ANDROID_ADB_SERVER_PORT=str(port), ADB_LOCAL_TRANSPORT_MAX_PORT="0")
    command = [sys.executable, "-m", "qnn_sd", "virtual-phone", "--soc", PROFILE.soc, "--connect", "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # The document is indented: its end is the only line that is a brace alone.
        lines = takewhile(lambda line: line != "}\n", process.stdout)
        address = json.loads("".join(lines) + "}")["device"]
        adb("-s", address, "wait-for-device")
        try:
            yield Adb().phone(address)
        finally:
            process.terminate()
    adb("kill-server")


def adb(*arguments: str) -> None:
    """Runs adb; it must succeed."""
    program = adb_path()
    assert program is not None
    subprocess.run([program, *arguments], check=True, capture_output=True)


def push_rates(phone: Phone, folder: Path, megabytes: int, rounds: int) -> dict[str, list[float]]:
    """MB a second of ``adb push``, of sending as staging does it, and of all that staging does, in turn."""
    rng = np.random.default_rng(20)
    for number, part in enumerate(PARTS):
        (folder / f"part{number}.bin").write_bytes(rng.bytes(int(part * megabytes * 1e6)))
    files = {path.name: path for path in sorted(folder.iterdir())}
    total = sum(path.stat().st_size for path in files.values()) / 1e6

    def push() -> None:
        adb("-s", phone.serial, "push", *map(str, files.values()), f"{TMP}/")

    def send() -> None:
        with SyncSender(phone) as sender:
            for name, path in files.items():
                size = path.stat().st_size
                for at in range(0, size, PIECE_BYTES):
                    sender.send(f"{TMP}/{name}.{at}", read_chunks(path, at, min(PIECE_BYTES, size - at)))
            sender.acknowledged(wait=True)

    def stage_all() -> None:
        stage(phone, [FileSet("pushed", files)], QUIET)

    ways = {"adb push": push, "sending": send, "staging": stage_all}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds = time.perf_counter() - started
            phone.ask(f"rm -rf {TMP}/part* {STAGING_FOLDER}/pushed")
            if number:  # the first round warms up
                rates[name].append(total / seconds)
    return rates


def small_unet(folder: Path) -> Path:
    """A context binary with the inputs and output of SD 1.5's UNet at 512x512 and little to compute."""
    rng = np.random.default_rng(20)
    feeds = {
        "sample": rng.standard_normal(LATENT, np.float32),
        "timestep": np.array([999], np.float32),
        "encoder_hidden_states": rng.standard_normal(CONTEXT, np.float32),
    }
    floats, qdq, binary = (folder / name for name in ("float", "qdq", "binary"))
    for each in (floats, qdq, binary):
        each.mkdir()
    write_graph(UNET, UNET_CONFIG, RandomTensors(0), GraphSize(LATENT[2], LATENT[3], CONTEXT[1]), floats)
    quantize_component(floats, [feeds], qdq)
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, 3, binary)
    return binary


def added_per_step(phone: Phone, folder: Path, steps: int) -> list[float]:
    """Milliseconds of each guided step on the host, less those that the worker computed."""
    binary = small_unet(folder)
    component = FileSet("unet", {path.name: path for path in binary.iterdir()})
    worker = worker_files()
    stage(phone, [worker, component], QUIET)
    soc = Soc(name=PROFILE.soc, dl_mode=PROFILE.dl_mode, soc_model=PROFILE.soc_model, htp_arch=PROFILE.htp_arch)
    options = htp_options(soc, "burst")
    session = WorkerSession(phone, f"{worker.folder}/{PHONE_JAR.name}", worker.folder, "a benchmark")
    rng = np.random.default_rng(21)
    passes = [{"encoder_hidden_states": rng.standard_normal(CONTEXT, np.float32)} for _pass in range(2)]
    added = []
    with session as client:
        runner = AdbRunner(
            client, "adb", ComputeUnit.HTP, options, lambda _name: f"{component.folder}/{CONTEXT_FILE}", session.log
        )
        runner.load("unet")
        for number in range(steps + 2):
            feeds = {
                "sample": rng.standard_normal(LATENT, np.float32),
                "timestep": np.array([number], np.float32),
            }
            started = time.perf_counter()
            runner.run_guided("unet", feeds, passes, 7.5)
            wall = time.perf_counter() - started
            computed = sum(runner.compute["unet"].run_seconds[-2:])
            if number >= 2:  # warm-up
                added.append(1000 * (wall - computed))
    return added


def generated(phone: Phone, folder: Path) -> dict[str, object]:
    """What ``qnn-sd run`` says of two images in one session."""
    command = [sys.executable, "-m", "qnn_sd", "run", "a red circle on a blue background", "--device", phone.serial]
    command += ["--count", "2", "--steps", "2", "--seed", "1", "--json", "-o", str(folder / "out.png")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    document: dict[str, object] = json.loads(done.stdout)["phone"]
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    cache = os.environ.get("QNN_SD_CACHE", str(Path.home() / ".cache" / "qnn-sd"))
    os.environ["QNN_SD_CACHE"] = cache  # the home is about to be another one
    with tempfile.TemporaryDirectory(prefix="qnn-sd-") as scratch:
        home, pushed, small = (Path(scratch) / name for name in ("home", "pushed", "small"))
        for each in (home, pushed, small):
            each.mkdir()
        with virtual_phone(home) as phone:
            first, second = generated(phone, home), generated(phone, home)
            added = added_per_step(phone, small, options.steps)
            rates = push_rates(phone, pushed, options.megabytes, options.rounds)
        shutil.rmtree(pushed)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    rows = [
        ("first staging, MB", f"{first['staged_bytes'] / 1e6:.1f}"),  # type: ignore[operator]
        ("second staging, bytes", f"{second['staged_bytes']}"),
        ("loads of each component, two images", loads(first)),
        *((f"{name}, MB a second (median)", f"{median:.0f}") for name, median in medians.items()),
        *((f"{name} to adb push", f"{medians[name] / medians['adb push']:.2f}") for name in ("sending", "staging")),
        ("added to a UNet step, ms (median)", f"{statistics.median(added):.2f}"),
        ("added to a UNet step, ms (90th percentile)", f"{np.percentile(added, 90):.2f}"),
    ]
    print(f"{options.rounds} rounds of {options.megabytes} MB, {options.steps} guided steps at latent {list(LATENT)}")
    for name, value in rows:
        print(f"{name:<45}{value:>12}")


def loads(said: dict[str, object]) -> str:
    compute = said["compute"]
    assert isinstance(compute, dict)
    return ", ".join(str(each["loads"]) for each in compute.values())


if __name__ == "__main__":
    main()
