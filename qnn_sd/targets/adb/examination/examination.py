"""The steps from adb's server to the worker's end, on one phone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd.bundle_format import OpenBundle
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError, StagingError, TargetError
from qnn_sd.health import adb_path
from qnn_sd.metrics import FAITHFUL_DB
from qnn_sd.recording import RecordingRunner, Sample
from qnn_sd.runner import Runner
from qnn_sd.targets.adb import runtime
from qnn_sd.targets.adb.client import Adb, Phone
from qnn_sd.targets.adb.deployment import PERF_MODES, Layout, htp_options, lay_out, libraries_for, soc_of
from qnn_sd.targets.adb.devices import PhoneFacts, choose, facts, is_virtual, profile_of, properties
from qnn_sd.targets.adb.examination.checklist import Checklist, Facts, Step
from qnn_sd.targets.adb.examination.likeness import PICTURE_DB, hold_outputs, hold_picture, of_outputs, of_pictures
from qnn_sd.targets.adb.examination.privacy import Privacy
from qnn_sd.targets.adb.runner import AdbRunner
from qnn_sd.targets.adb.session import MAIN, WorkerSession
from qnn_sd.targets.adb.staging import lacking, stage
from qnn_sd.targets.adb.worker_client import WorkerClient
from qnn_sd.targets.adb.worker_protocol import Place, WorkerStatus
from qnn_sd.targets.cpu import CpuRunner
from qnn_sd.targets.emulator import EmulatorRunner

Picture = NDArray[np.uint8]

# What helps to understand a phone, and names neither it nor its owner.
_PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.build.version.security_patch",
    "ro.build.type",
    "ro.build.fingerprint",
    "ro.product.cpu.abi",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.board.platform",
)
_SERIAL_PROPERTIES = ("ro.serialno", "ro.boot.serialno")
# The worker halts itself five seconds after its stdin ended (docs/worker-protocol.md).
_END_SECONDS = 15.0
_LOG_LINES = 80
# What is lost when the worker dies or says what makes no sense.
_CONNECTION = "the connection to the worker"


@dataclass(frozen=True)
class Painted:
    """A picture and what it cost.

    Attributes:
        picture: RGB, [height, width, 3] uint8.
        usage: calls and seconds in all, as the host sees them, by component.
    """

    picture: Picture
    usage: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class Means:
    """What the examination needs of the stages that a target doesn't know.

    Attributes:
        bundle: makes a bundle for a SoC; tells whether anything had to be built for it.
        paint: paints a fixed picture with a bundle's components on a runner, the same one each time.
    """

    bundle: Callable[[DeviceProfile], tuple[OpenBundle, bool]]
    paint: Callable[[Runner, OpenBundle], Painted]


@dataclass
class Findings:
    """What an examination found.

    Attributes:
        steps: in order.
        virtual: whether it was a virtual phone; None if none was reached.
        picture: the phone's, or None.
        log: the last lines that the worker logged, if a step failed once it was started.
    """

    steps: list[Step] = field(default_factory=list)
    virtual: bool | None = None
    picture: Picture | None = None
    log: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Step]:
        """The steps that failed."""
        return [step for step in self.steps if step.status == "failed"]


class Examination:
    """Tries every step on one phone.

    Args:
        means: the stages' part.
        serial: the phone, as typed.
        soc: as typed, for a phone whose SoC is unknown; None for the phone's own.
        components: that a picture needs.
        cache: where the runtime libraries were fetched to.
        console: for progress.
        privacy: is told what the phone is called.
        tell: called with each step as soon as it is over.
    """

    def __init__(
        self,
        means: Means,
        serial: str,
        soc: str | None,
        components: tuple[str, ...],
        cache: Path,
        console: Console,
        privacy: Privacy,
        tell: Callable[[Step], None],
    ) -> None:
        self._means, self._serial, self._soc = means, serial, soc
        self._components, self._cache, self._console, self._privacy = components, cache, console, privacy
        self._list = Checklist(tell)
        self._findings = Findings(self._list.steps)
        self._session: WorkerSession | None = None
        # Each is set by the step that finds it; the steps that use it need that one.
        self._adb: Adb
        self._phone: Phone
        self._bundle: OpenBundle
        self._libraries: runtime.RuntimeLibraries | None
        self._layout: Layout
        self._samples: Mapping[str, list[Sample]]
        self._reference: Picture
        self._client: WorkerClient | None = None
        self._runner: AdbRunner
        self._at_start: WorkerStatus

    def run(self) -> Findings:
        """All steps, whatever becomes of them; no worker is left on the phone."""
        check = self._list.check
        self._privacy.hide_serial(self._serial)
        try:
            check("adb", self._find_adb)
            check("phone", self._find_phone, ["adb"])
            check("facts", self._ask_phone, ["phone"])
            check("bundle", self._make_bundle, ["facts"])
            check("runtime libraries", self._pick_libraries, ["bundle"])
            check("staging", self._stage, ["runtime libraries"])
            check("worker", self._start_worker, ["staging"])
            for name in self._components:
                self._check_connected(f"load {name}", partial(self._load, name))
            # It takes a while: not for a worker that is gone.
            check("reference", self._paint_reference, ["worker", _CONNECTION])
            for name in self._components:
                self._check_connected(f"result {name}", partial(self._compare, name), f"load {name}", "reference")
            self._check_connected("picture", self._paint, "reference", *(f"load {name}" for name in self._components))
            self._check_connected("memory and heat", self._look_again)
            check("worker's end", self._end_worker, ["worker"])
        finally:
            self._close()
        if self._findings.failed and self._session is not None:
            self._findings.log = self._session.log().splitlines()[-_LOG_LINES:]
        return self._findings

    def _check_connected(self, name: str, act: Callable[[Facts], str], *needs: str) -> None:
        """A step that speaks to the worker; where it is gone afterwards, no later one tries."""
        self._list.check(name, act, ["worker", _CONNECTION, *needs])
        if self._client is not None and self._client.closed:
            self._list.lose(_CONNECTION, name)

    def _find_adb(self, told: Facts) -> str:
        self._adb = Adb()
        told["server"] = f"1.0.{self._adb.version}"
        program = adb_path()
        if program is not None:
            answer = subprocess.run([program, "version"], capture_output=True, text=True, timeout=60, check=False)
            # The third line of its answer names the program's folder.
            told["program"] = " ".join(answer.stdout.splitlines()[:2])
        return f"server {told['server']}; {told.get('program', 'no program on the path')}"

    def _find_phone(self, told: Facts) -> str:
        listed = self._adb.listed()
        for each in listed:
            self._privacy.hide_serial(each.serial)
        told["states"] = [each.state for each in listed]
        self._phone = choose(self._adb, self._serial)
        return f"one of {len(listed)} that adb lists" if len(listed) > 1 else "the only one that adb lists"

    def _ask_phone(self, told: Facts) -> str:
        for name in properties(self._phone, _SERIAL_PROPERTIES).values():
            self._privacy.hide_serial(name)
        self._findings.virtual = is_virtual(self._phone)
        found, said = facts(self._phone), properties(self._phone, _PROPERTIES)
        told |= asdict(found)
        told["properties"] = {name: value for name, value in said.items() if value}
        told["kernel"] = self._phone.shell("uname -r").text
        return (
            f"{said['ro.product.manufacturer']} {found.model}, Android {said['ro.build.version.release']} "
            f"(API {found.sdk}), SoC {found.soc or 'unknown'} ({said['ro.board.platform'] or 'platform unknown'}), "
            f"profile {found.profile or 'none'}, {found.free_bytes / 1e9:.1f} GB free, {_battery(found)}"
        )

    def _make_bundle(self, told: Facts) -> str:
        profile = profile_of(self._phone, self._soc)
        self._bundle, built = self._means.bundle(profile)
        info = self._bundle.info
        told |= {
            "model": info.model,
            "height": info.height,
            "width": info.width,
            "soc": profile.soc,
            "soc_chosen_by": "the user" if self._soc else "the phone",
            "dl_mode": profile.dl_mode,
            "htp_arch": profile.htp_arch,
            "built_now": built,
        }
        files = {name: self._bundle.file(name) for name in self._components}
        told["qairt"] = {name: runtime.qairt_version_of(file) for name, file in files.items()}
        return (
            f"{info.model}, {info.width}x{info.height}, for {profile.soc} (dl_mode {profile.dl_mode}, HTP "
            f"v{profile.htp_arch}), QAIRT {', '.join(sorted(set(told['qairt'].values())))}, "
            f"{'built now' if built else 'from the cache'}"
        )

    def _pick_libraries(self, told: Facts) -> str:
        self._libraries = libraries_for(self._phone, self._bundle, self._components, self._cache)
        if self._libraries is None:
            return "the virtual phone's own: this machine's desktop libraries"
        told |= {"qairt": self._libraries.qairt, "origins": dict(self._libraries.origins)}
        pins = {pin.coordinate: pin for published in runtime.load_pins().published for pin in published.pins}
        told["hashes"] = {
            origin: runtime.known_hash(pins[origin])[1] if origin in pins else "an SDK's, not held"
            for origin in sorted(set(self._libraries.origins.values()))
        }
        hashes = ", ".join(f"{origin} ({trust})" for origin, trust in told["hashes"].items())
        return f"QAIRT {self._libraries.qairt}, {len(self._libraries.files)} files; hashes: {hashes}"

    def _stage(self, told: Facts) -> str:
        self._layout = lay_out(self._bundle, self._components, self._libraries)
        sets = self._layout.sets
        started = time.perf_counter()
        first = stage(self._phone, sets, self._console)
        seconds = time.perf_counter() - started
        second = stage(self._phone, sets, self._console)
        rate = first.sent_bytes / seconds
        told |= {"first": asdict(first), "second": asdict(second), "bytes_per_second": round(rate)}
        if second.sent_bytes:
            raise StagingError(
                "What was staged doesn't stay on the phone",
                why=f"A second staging sent {second.sent_bytes:,} bytes again, where it should send none.",
                hint="Look at what else writes to /data/local/tmp, then try again.",
            )
        damaged = [f"{files.kind}/{name}" for files in sets for name in lacking(self._phone, files)]
        if damaged:
            raise StagingError(
                "What is staged is damaged on the phone",
                why=f"The hashes of {', '.join(damaged)} are wrong there.",
                hint="Type qnn-sd unstage, then try again.",
            )
        sent = f"{first.sent_bytes / 1e6:,.1f} MB sent at {rate / 1e6:,.1f} MB/s" if first.sent_bytes else "0 MB sent"
        return f"{sent}, {first.kept_bytes / 1e6:,.1f} MB were there; a second staging sent 0 bytes; hashes are right"

    def _paint_reference(self, told: Facts) -> str:
        soc = soc_of(self._bundle)
        recorder = RecordingRunner(EmulatorRunner(self._bundle.file, soc.soc_model, soc.htp_arch))
        painted = self._means.paint(recorder, self._bundle)
        self._samples = {name: _spread(samples) for name, samples in recorder.samples.items()}
        self._reference = painted.picture
        told["samples"] = {name: len(samples) for name, samples in self._samples.items()}
        return "the HTP emulator painted the picture and what each component answered is kept"

    def _start_worker(self, told: Facts) -> str:
        self._session = WorkerSession(self._phone, self._layout.jar, self._layout.home, "an examination", cold=True)
        started = time.perf_counter()
        self._client = self._session.__enter__()
        seconds = time.perf_counter() - started
        info = self._session.info
        assert info is not None  # it said hello
        told |= {**asdict(info), "start_seconds": round(seconds, 3)}
        options = htp_options(soc_of(self._bundle), PERF_MODES[0])
        self._runner = AdbRunner(self._client, "the phone", Place.HTP, options, self._layout.file, self._session.log)
        self._at_start = self._client.status()
        told["status"] = asdict(self._at_start)
        return f"protocol {info.protocol}, ONNX Runtime {info.onnxruntime}, {info.platform}"

    def _load(self, component: str, told: Facts) -> str:
        self._runner.load(component)
        told["load_seconds"] = round(self._runner.compute[component].load_seconds, 4)
        return f"on the HTP in {told['load_seconds']:.2f} s"

    def _compare(self, component: str, told: Facts) -> str:
        samples = self._samples[component]
        found = [self._runner.run(component, sample.feeds) for sample in samples]
        qdq = CpuRunner(self._graph)
        qdq.load(component)
        on_cpu = [qdq.run(component, sample.feeds) for sample in samples]
        on_emulator = [sample.output for sample in samples]
        with_emulator, with_graph = of_outputs(on_emulator, found), of_outputs(on_cpu, found)
        told |= {
            "calls": len(samples),
            "against_emulator": with_emulator.facts,
            "against_qdq_graph": with_graph.facts,
            "emulator_against_qdq_graph": of_outputs(on_cpu, on_emulator).facts,
            "least_db": FAITHFUL_DB,
        }
        hold_outputs(component, "the same binary on the emulator", with_emulator)
        hold_outputs(component, "its QDQ graph on the CPU", with_graph)
        return (
            f"against the emulator: {with_emulator.text}; against the QDQ graph: {with_graph.text} "
            f"(at least {FAITHFUL_DB:.0f} dB each; calls: {len(samples)})"
        )

    def _graph(self, component: str) -> Path:
        path = self._bundle.fallback(component)
        assert path is not None, "bundles for a SoC carry their QDQ graphs"
        return path

    def _paint(self, told: Facts) -> str:
        before = {name: len(measured.run_seconds) for name, measured in self._runner.compute.items()}
        painted = self._means.paint(self._runner, self._bundle)
        self._findings.picture = painted.picture
        likeness = of_pictures(self._reference, painted.picture)
        told |= {"against_emulator": likeness.facts, "least_db": PICTURE_DB, "components": {}}
        for name, (calls, seconds) in painted.usage.items():
            computing = sum(self._runner.compute[name].run_seconds[before[name] :])
            told["components"][name] = {
                "calls": calls,
                "ms_per_call": round(1000 * seconds / calls, 3),
                "of_it_computing_ms": round(1000 * computing / calls, 3),
            }
        hold_picture(likeness)
        times = ", ".join(
            f"{name} {each['ms_per_call']:,.1f} ({each['of_it_computing_ms']:,.1f})"
            for name, each in told["components"].items()
        )
        return f"against the emulator's: {likeness.text} (at least {PICTURE_DB:.0f} dB); ms a call (computing): {times}"

    def _look_again(self, told: Facts) -> str:
        assert self._client is not None  # it was started
        status, found = self._client.status(), facts(self._phone)
        told |= {"status": asdict(status), "battery_percent": found.battery_percent, "celsius": found.celsius}
        before = {zone.name: zone.degrees for zone in self._at_start.zones}
        heat = "no thermal zone can be read"
        if status.zones:
            hottest = max(status.zones, key=lambda zone: zone.degrees)
            then = f" ({before[hottest.name]:.1f} °C at the start)" if hottest.name in before else ""
            heat = f"hottest of {len(status.zones)} zones: {hottest.name} {hottest.degrees:.1f} °C{then}"
        return f"the worker's peak memory {status.peak_bytes / 1e6:,.0f} MB; {heat}; {_battery(found)}"

    def _end_worker(self, told: Facts) -> str:
        assert self._session is not None  # it was started
        started = time.monotonic()
        self._close()
        while self._session.pid in (workers := self._workers()):
            if time.monotonic() - started > _END_SECONDS:
                raise TargetError(
                    "The worker doesn't end",
                    why=f"ps on the phone still lists it {_END_SECONDS:.0f} seconds after it was told to.",
                    hint=f"Type adb shell kill {self._session.pid}, and send the report.",
                )
            time.sleep(0.1)
        told["other_workers"] = len(workers)
        others = f"; {len(workers)} that others started run on" if workers else ""
        return f"ps on the phone lists it no more{others}"

    def _workers(self) -> list[int]:
        """Process ids of all workers on the phone."""
        lines = self._phone.shell("ps -A -o PID,ARGS").text.splitlines()
        return [int(line.split()[0]) for line in lines if MAIN in line.split()]

    def _close(self) -> None:
        """Ends the worker if one runs; what it says to that changes nothing."""
        if self._client is None or self._session is None:
            return
        gone, self._client = self._client.closed, None
        with suppress(QnnSdError):
            self._session.__exit__(TargetError if gone else None, None, None)


def _spread(samples: list[Sample]) -> list[Sample]:
    """The first, the middle and the last: from pure noise to a nearly finished picture."""
    return [samples[place] for place in sorted({0, len(samples) // 2, len(samples) - 1})]


def _battery(found: PhoneFacts) -> str:
    if found.battery_percent is None:
        return "battery unknown"
    heat = "" if found.celsius is None else f", {found.celsius:.1f} °C"
    return f"battery {found.battery_percent} %{heat}"
