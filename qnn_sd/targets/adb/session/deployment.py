"""From a bundle to components that run on a phone: what is staged, and how it is driven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.artifact import sha256_of_json
from qnn_sd.bundle_manifest import OpenBundle, Soc
from qnn_sd.config import soc_named
from qnn_sd.console import Console
from qnn_sd.errors import TargetError
from qnn_sd.runner import Runner
from qnn_sd.runtime_libraries import RuntimeLibraries, qairt_version_of, select_libraries
from qnn_sd.targets.adb.client import Phone, is_virtual, other_soc
from qnn_sd.targets.adb.session.runner import AdbRunner, ComponentTimings
from qnn_sd.targets.adb.session.worker_session import WorkerSession
from qnn_sd.targets.adb.staging import FileSet, StagingResult, stage
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.protocol import ComputeUnit, WorkerStatus
from qnn_sd.targets.fallback import FallbackRunner
from qnn_sd.toolchain import version
from qnn_sd.worker_jars import PHONE_JAR

PERF_MODES = ("burst", "high_performance", "balanced", "power_saver")


@dataclass
class Deployment:
    """A bundle on a phone, ready to run.

    Attributes:
        runner: its components.
        staged: what was sent for it.
        client: the worker.
        compute: what the worker measured, by component.
        was_warm: whether an earlier run left the worker, with what it had loaded.
        start_seconds: from the command that starts the worker to its hello; 0 if it was warm.
    """

    runner: Runner
    staged: StagingResult
    client: WorkerClient
    compute: Mapping[str, ComponentTimings]
    was_warm: bool
    start_seconds: float

    def status(self) -> WorkerStatus:
        """Memory, heat and battery, as the worker sees them."""
        return self.client.status()


@dataclass(frozen=True)
class Layout:
    """What of a bundle goes where on a phone.

    Attributes:
        worker: the worker's jar.
        libraries: what the binaries need, or None where the phone brings its own.
        parts: each component's files.
        files: name of each component's ONNX file.
    """

    worker: FileSet
    libraries: FileSet | None
    parts: Mapping[str, FileSet]
    files: Mapping[str, str]

    @property
    def sets(self) -> list[FileSet]:
        """All of them."""
        return [self.worker, *([self.libraries] if self.libraries else []), *self.parts.values()]

    @property
    def home(self) -> str:
        """The folder on the phone that the worker starts in."""
        return (self.libraries or self.worker).folder

    @property
    def jar(self) -> str:
        """Path of the worker's jar on the phone."""
        return f"{self.worker.folder}/{PHONE_JAR.name}"

    def file(self, component: str) -> str:
        """Path of a component's ONNX file on the phone."""
        return f"{self.parts[component].folder}/{self.files[component]}"


def lay_out(bundle: OpenBundle, components: tuple[str, ...], libraries: RuntimeLibraries | None) -> Layout:
    """What of a bundle goes where on a phone.

    Args:
        bundle: for the phone's SoC.
        components: that will run.
        libraries: as ``libraries_for`` gives them.
    """
    return Layout(
        worker_files(),
        FileSet("libs", {path.name: path for path in libraries.files}) if libraries else None,
        {name: _part(name, bundle.file(name)) for name in components},
        {name: bundle.file(name).name for name in components},
    )


def soc_of(bundle: OpenBundle) -> Soc:
    """The SoC of a bundle for a phone.

    Raises:
        TargetError: it is for the CPU.
    """
    if bundle.info.soc is None:
        raise TargetError(
            f"{bundle.folder} is no bundle for a phone", why="It is for the CPU.", hint="qnn-sd compile makes one."
        )
    return bundle.info.soc


def soc_of_phone(phone: Phone, soc: Soc) -> Soc:
    """The SoC that a phone's libraries and the plugin's options must be for: its own, whosever binaries it gets.

    A runtime loads stub and skel of the phone's HTP, and refuses another one's number (14001).

    Args:
        phone: asked for its SoC.
        soc: the bundle's, which holds for a phone that reports none or an unknown one, and for a virtual one: that
            one's emulator is the binary's SoC.

    Raises:
        DeviceError: the phone went away.
    """
    model = None if is_virtual(phone) else other_soc(phone, soc.name)
    chip = None if model is None else soc_named(model)
    if chip is None or chip.htp_arch is None or chip.soc_model == soc.soc_model:
        return soc
    return Soc(name=chip.name.lower(), soc_model=chip.soc_model, htp_arch=chip.htp_arch)


def htp_options(soc: Soc, perf_mode: str) -> dict[str, str]:
    """Provider options of a component on a phone's HTP.

    Args:
        soc: the phone's (``soc_of_phone``).
        perf_mode: QNN's ``htp_performance_mode``.
    """
    return {
        "backend_path": "libQnnHtp.so",
        "htp_performance_mode": perf_mode,
        "soc_model": str(soc.soc_model),
        "htp_arch": str(soc.htp_arch),
    }


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
    keep_alive: bool = False,
    cold: bool = False,
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
        keep_alive: whether the worker stays, with what it has loaded, for the next run.
        cold: whether one that stayed is ended rather than used.

    Raises:
        RuntimeLibraryError: no libraries that load the bundle's binaries.
        StagingError: the phone can't take the files.
        DeviceError: it went away.
        TargetError: the worker doesn't start.
    """
    layout = lay_out(bundle, components, libraries_for(phone, bundle, components, cache))
    staged = stage(phone, layout.sets, console)

    def on_cpu(component: str) -> str:
        """The QDQ graph crosses the cable only when it is needed."""
        path = bundle.fallback(component)
        files = _part(f"{component}-cpu", path)
        more = stage(phone, [files], console)
        staged.sent_bytes += more.sent_bytes
        staged.kept_bytes += more.kept_bytes
        return f"{files.folder}/{path.name}"

    options = htp_options(soc_of_phone(phone, soc_of(bundle)), perf_mode)
    for component in components:
        options |= bundle.session_entries(component)
    # Folders are named after what is in them: where all agree, so does everything that the worker has open.
    deployment_key = sha256_of_json([[files.folder for files in layout.sets], options])
    session = WorkerSession(phone, layout.jar, layout.home, deployment_key, cold=cold, keep=keep_alive)
    with session as client:

        def on(unit: ComputeUnit, name: str, options: Mapping[str, str], file: Callable[[str], str]) -> AdbRunner:
            return AdbRunner(client, name, unit, options, file, session.log, keep_loaded=keep_alive)

        htp = on(ComputeUnit.HTP, f"adb:{phone.serial}", options, layout.file)
        if not fallback:
            yield Deployment(htp, staged, client, htp.compute, session.was_warm, session.start_seconds)
            return
        cpu = on(ComputeUnit.CPU, f"adb:{phone.serial} CPU", {}, on_cpu)
        # One table: a component runs on one of the two.
        cpu.compute = htp.compute

        runner = FallbackRunner(htp, cpu, lambda event: console.warn(event.text))
        yield Deployment(runner, staged, client, htp.compute, session.was_warm, session.start_seconds)


def worker_files() -> FileSet:
    """The worker, as it is staged."""
    return FileSet("worker", {PHONE_JAR.name: PHONE_JAR})


def _part(kind: str, file: Path) -> FileSet:
    """A component's file with what stands beside it: binary or weights. Encodings stay at home."""
    return FileSet(kind, {path.name: path for path in sorted(file.parent.iterdir()) if path.suffix != ".json"})


def libraries_for(
    phone: Phone, bundle: OpenBundle, components: tuple[str, ...], cache: Path
) -> RuntimeLibraries | None:
    """What the binaries need on a phone; None on a virtual one, which brings its own.

    Args:
        phone: which one.
        bundle: for its SoC.
        components: that will run.
        cache: where the libraries were fetched to.

    Raises:
        RuntimeLibraryError: none here load the binaries.
        DeviceError: the phone went away.
    """
    if is_virtual(phone):
        return None
    newest = max((qairt_version_of(bundle.file(name)) for name in components), key=version)
    return select_libraries(soc_of_phone(phone, soc_of(bundle)).htp_arch, newest, cache)
