"""Checks of the worker on a phone: its start, loading components, memory and temperature, its end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict

from qnn_sd.adb_program import adb_command
from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.targets.adb.client import phone_info
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks, battery_text
from qnn_sd.targets.adb.session.deployment import PERF_MODES, htp_options, soc_of, soc_of_phone
from qnn_sd.targets.adb.session.runner import AdbRunner
from qnn_sd.targets.adb.session.worker_session import MAIN, WorkerSession
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.protocol import ComputeUnit, WorkerStatus

# The worker exits five seconds after the end of its stdin at the latest (docs/worker-protocol.md).
_END_SECONDS = 15.0


class WorkerChecks:
    """The steps from the worker's start to its end; all need its start.

    Args:
        connection: the connection to the phone, with everything staged.

    Attributes:
        runner: runs its components; set by ``start``.
    """

    runner: AdbRunner

    def __init__(self, connection: ConnectionChecks) -> None:
        self._connection = connection
        self._session: WorkerSession | None = None
        self._client: WorkerClient | None = None
        self._at_start: WorkerStatus

    @property
    def lost(self) -> bool:
        """Whether it was started, and ended unexpectedly or sent an invalid answer."""
        return self._client is not None and self._client.closed

    def log(self) -> str:
        """Its log; empty if it wasn't started."""
        return "" if self._session is None else self._session.log()

    def start(self, details: Details) -> str:
        """It starts, and reports its version."""
        self._session = WorkerSession(
            self._connection.phone, self._connection.layout.jar, self._connection.layout.home, "diagnostics", cold=True
        )
        self._client = self._session.__enter__()
        info = self._session.info
        assert info is not None  # it was started
        details |= {**asdict(info), "start_seconds": round(self._session.start_seconds, 3)}
        soc = soc_of_phone(self._connection.phone, soc_of(self._connection.bundle))
        options = htp_options(soc, PERF_MODES[0])
        self.runner = AdbRunner(
            self._client, "the phone", ComputeUnit.HTP, options, self._connection.layout.file, self._session.log
        )
        self._at_start = self._client.status()
        details["status"] = asdict(self._at_start)
        return f"protocol {info.protocol}, ONNX Runtime {info.onnxruntime}, {info.platform}"

    def load(self, component: str, details: Details) -> str:
        """A component, on the HTP."""
        self.runner.load(component)
        details["load_seconds"] = round(self.runner.compute[component].load_seconds, 4)
        return f"on the HTP in {details['load_seconds']:.2f} s"

    def measure_again(self, details: Details) -> str:
        """Memory and temperature after all the work."""
        assert self._client is not None  # it was started
        status, info = self._client.status(), phone_info(self._connection.phone)
        details |= {"status": asdict(status), "battery_percent": info.battery_percent, "celsius": info.celsius}
        at_start = {zone.name: zone.degrees for zone in self._at_start.zones}
        temperature = "no thermal zone can be read"
        if status.zones:
            hottest = max(status.zones, key=lambda zone: zone.degrees)
            start = f" ({at_start[hottest.name]:.1f} °C at the start)" if hottest.name in at_start else ""
            temperature = f"hottest of {len(status.zones)} zones: {hottest.name} {hottest.degrees:.1f} °C{start}"
        return f"the worker's peak memory {status.peak_bytes / 1e6:,.0f} MB; {temperature}; {battery_text(info)}"

    def end(self, details: Details) -> str:
        """It ends when asked to, and the phone no longer lists it."""
        assert self._session is not None  # it was started
        started = time.monotonic()
        self.close()
        while self._session.pid in (workers := self._workers()):
            if time.monotonic() - started > _END_SECONDS:
                raise TargetError(
                    "The worker doesn't end",
                    why=f"ps on the phone still lists it {_END_SECONDS:.0f} seconds after it was asked to.",
                    hint=f"Type {adb_command('shell', 'kill', str(self._session.pid))}, and send the report.",
                )
            time.sleep(0.1)
        details["other_workers"] = len(workers)
        others = f"; {len(workers)} other workers are running" if workers else ""
        return f"ps on the phone no longer lists it{others}"

    def _workers(self) -> list[int]:
        """Process ids of all workers on the phone."""
        lines = self._connection.phone.shell("ps -A -o PID,ARGS").text.splitlines()
        return [int(line.split()[0]) for line in lines if MAIN in line.split()]

    def close(self) -> None:
        """Ends the worker if it runs; an error is ignored."""
        if self._client is None or self._session is None:
            return
        lost, self._client = self._client.closed, None
        with suppress(QnnSdError):
            self._session.__exit__(TargetError if lost else None, None, None)
