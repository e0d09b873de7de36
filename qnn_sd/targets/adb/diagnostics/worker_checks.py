"""The worker on a phone: its start, what it loads, what that costs the phone, its end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict

from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.targets.adb.client import phone_info
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks, battery_text
from qnn_sd.targets.adb.session.deployment import PERF_MODES, htp_options, soc_of
from qnn_sd.targets.adb.session.runner import AdbRunner
from qnn_sd.targets.adb.session.worker_session import MAIN, WorkerSession
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.protocol import ComputeUnit, WorkerStatus

# The worker halts itself five seconds after its stdin ended (docs/worker-protocol.md).
_END_SECONDS = 15.0


class WorkerChecks:
    """Steps from a worker's start to its end; all need the first.

    Args:
        way: to the phone, on which everything was staged.

    Attributes:
        runner: its components; set by ``start``.
    """

    runner: AdbRunner

    def __init__(self, way: ConnectionChecks) -> None:
        self._way = way
        self._session: WorkerSession | None = None
        self._client: WorkerClient | None = None
        self._at_start: WorkerStatus

    @property
    def lost(self) -> bool:
        """Whether it was greeted, and died or said what makes no sense."""
        return self._client is not None and self._client.closed

    def log(self) -> str:
        """What it logged; empty if it never started."""
        return "" if self._session is None else self._session.log()

    def start(self, told: Details) -> str:
        """It starts, and says what it is."""
        self._session = WorkerSession(
            self._way.phone, self._way.layout.jar, self._way.layout.home, "an examination", cold=True
        )
        self._client = self._session.__enter__()
        info = self._session.info
        assert info is not None  # it said hello
        told |= {**asdict(info), "start_seconds": round(self._session.start_seconds, 3)}
        options = htp_options(soc_of(self._way.bundle), PERF_MODES[0])
        self.runner = AdbRunner(
            self._client, "the phone", ComputeUnit.HTP, options, self._way.layout.file, self._session.log
        )
        self._at_start = self._client.status()
        told["status"] = asdict(self._at_start)
        return f"protocol {info.protocol}, ONNX Runtime {info.onnxruntime}, {info.platform}"

    def load(self, component: str, told: Details) -> str:
        """A component on the HTP."""
        self.runner.load(component)
        told["load_seconds"] = round(self.runner.compute[component].load_seconds, 4)
        return f"on the HTP in {told['load_seconds']:.2f} s"

    def look_again(self, told: Details) -> str:
        """Memory and heat after all the work."""
        assert self._client is not None  # it was started
        status, found = self._client.status(), phone_info(self._way.phone)
        told |= {"status": asdict(status), "battery_percent": found.battery_percent, "celsius": found.celsius}
        before = {zone.name: zone.degrees for zone in self._at_start.zones}
        heat = "no thermal zone can be read"
        if status.zones:
            hottest = max(status.zones, key=lambda zone: zone.degrees)
            then = f" ({before[hottest.name]:.1f} °C at the start)" if hottest.name in before else ""
            heat = f"hottest of {len(status.zones)} zones: {hottest.name} {hottest.degrees:.1f} °C{then}"
        return f"the worker's peak memory {status.peak_bytes / 1e6:,.0f} MB; {heat}; {battery_text(found)}"

    def end(self, told: Details) -> str:
        """It is told to end, and the phone lists it no more."""
        assert self._session is not None  # it was started
        started = time.monotonic()
        self.close()
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
        lines = self._way.phone.shell("ps -A -o PID,ARGS").text.splitlines()
        return [int(line.split()[0]) for line in lines if MAIN in line.split()]

    def close(self) -> None:
        """Ends the worker if one runs; what it says to that changes nothing."""
        if self._client is None or self._session is None:
            return
        gone, self._client = self._client.closed, None
        with suppress(QnnSdError):
            self._session.__exit__(TargetError if gone else None, None, None)
