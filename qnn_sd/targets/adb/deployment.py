"""From a bundle to components that run on a phone: what is staged, and how it is driven."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.bundle_format import OpenBundle
from qnn_sd.console import Console
from qnn_sd.errors import TargetError
from qnn_sd.runner import Fallback, Runner
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.devices import is_virtual
from qnn_sd.targets.adb.runner import AdbRunner, Compute
from qnn_sd.targets.adb.runtime import pick, qairt_version_of
from qnn_sd.targets.adb.runtime.pins import version
from qnn_sd.targets.adb.session import WorkerSession
from qnn_sd.targets.adb.staging import FileSet, Staged, stage
from qnn_sd.targets.adb.worker_client import WorkerClient
from qnn_sd.targets.adb.worker_protocol import Place, WorkerStatus
from qnn_sd.targets.fallback import FallbackRunner

_JARS = Path(__file__).with_name("jars")
WORKER_JAR = "worker.dex.jar"
PERF_MODES = ("burst", "high_performance", "balanced", "power_saver")


@dataclass
class Deployment:
    """A bundle on a phone, ready to run.

    Attributes:
        runner: its components.
        staged: what was sent for it.
        client: the worker.
        compute: what the worker measured, by component.
        start_seconds: from the command that starts the worker to its hello.
    """

    runner: Runner
    staged: Staged
    client: WorkerClient
    compute: Mapping[str, Compute]
    start_seconds: float

    def status(self) -> WorkerStatus:
        """Memory, heat and battery, as the worker sees them."""
        return self.client.status()


@contextmanager
def deployed(
    phone: Phone,
    bundle: OpenBundle,
    components: tuple[str, ...],
    cache: Path,
    console: Console,
    *,
    fallback: bool = True,
    perf_mode: str = "burst",
) -> Iterator[Deployment]:
    """Stages a bundle on a phone and starts a worker for it; ends the worker with the block.

    Args:
        phone: which one.
        bundle: for the phone's SoC.
        components: that will run.
        cache: where the runtime libraries were fetched to.
        console: for progress, and for each fallback.
        fallback: whether the phone's CPU takes what its HTP can't load.
        perf_mode: QNN's ``htp_performance_mode``.

    Raises:
        RuntimeLibraryError: no libraries that load the bundle's binaries.
        StagingError: the phone can't take the files.
        DeviceError: it went away.
        TargetError: the worker doesn't start.
    """
    soc = bundle.info.soc
    if soc is None:
        raise TargetError(
            f"{bundle.folder} is no bundle for a phone", why="It is for the CPU.", hint="qnn-sd compile makes one."
        )
    worker = FileSet("worker", {WORKER_JAR: _JARS / WORKER_JAR})
    libraries = _libraries(phone, bundle, components, cache)
    parts = {name: _part(name, bundle.file(name)) for name in components}
    sets = [worker, *([libraries] if libraries else []), *parts.values()]
    staged = stage(phone, sets, console)
    home = libraries.folder if libraries else worker.folder

    def on_htp(component: str) -> str:
        return f"{parts[component].folder}/{bundle.file(component).name}"

    def on_cpu(component: str) -> str:
        """The QDQ graph crosses the cable only when it is needed."""
        path = bundle.fallback(component)
        if path is None:
            raise TargetError(
                f"{component} can't run on the phone's CPU",
                why="The bundle holds no graph for it.",
                hint="Make the bundle anew with qnn-sd compile.",
            )
        files = _part(f"{component}-cpu", path)
        more = stage(phone, [files], console)
        staged.sent_bytes += more.sent_bytes
        staged.kept_bytes += more.kept_bytes
        return f"{files.folder}/{path.name}"

    options = {
        "backend_path": "libQnnHtp.so",
        "htp_performance_mode": perf_mode,
        "soc_model": str(soc.soc_model),
        "htp_arch": str(soc.htp_arch),
    }
    session = WorkerSession(phone, f"{worker.folder}/{WORKER_JAR}", home)
    started = time.perf_counter()
    with session as client:
        start_seconds = time.perf_counter() - started
        htp = AdbRunner(client, f"adb:{phone.serial}", Place.HTP, options, on_htp, session.log)
        if not fallback:
            yield Deployment(htp, staged, client, htp.compute, start_seconds)
            return
        cpu = AdbRunner(client, f"adb:{phone.serial} CPU", Place.CPU, {}, on_cpu, session.log)
        # One table: a component runs in one of the two.
        cpu.compute = htp.compute

        def tell(event: Fallback) -> None:
            console.warn(f"{event.component}: {event.target} ({event.reason})")

        yield Deployment(FallbackRunner(htp, cpu, tell), staged, client, htp.compute, start_seconds)


def _part(kind: str, file: Path) -> FileSet:
    """A component's file with what stands beside it: binary or weights. Encodings stay at home."""
    return FileSet(kind, {path.name: path for path in sorted(file.parent.iterdir()) if path.suffix != ".json"})


def _libraries(phone: Phone, bundle: OpenBundle, components: tuple[str, ...], cache: Path) -> FileSet | None:
    """What the binaries need on the phone; None on a virtual one, which brings its own."""
    if is_virtual(phone):
        return None
    soc = bundle.info.soc
    assert soc is not None
    newest = max((qairt_version_of(bundle.file(name)) for name in components), key=version)
    chosen = pick(soc.htp_arch, newest, cache)
    return FileSet("libs", {path.name: path for path in chosen.files})
