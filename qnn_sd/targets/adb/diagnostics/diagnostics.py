"""The order of the checks, from the adb server to the end of the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from qnn_sd.console import Console
from qnn_sd.targets.adb.diagnostics.checklist import Checklist, Details, Step
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks
from qnn_sd.targets.adb.diagnostics.context import DiagnosticsContext, DiagnosticsRequest, Image
from qnn_sd.targets.adb.diagnostics.privacy import Privacy
from qnn_sd.targets.adb.diagnostics.result_checks import ResultChecks
from qnn_sd.targets.adb.diagnostics.worker_checks import WorkerChecks

_LOG_LINES = 80
# Lost when the worker ends unexpectedly or sends an invalid answer.
_WORKER_CONNECTION = "the connection to the worker"


@dataclass
class Findings:
    """The result of the diagnostics.

    Attributes:
        steps: in order.
        virtual: whether it was a virtual phone; None if none was reached.
        image: the image that the phone generated, or None.
        log: the last lines of the worker's log, if a step failed.
    """

    steps: list[Step] = field(default_factory=list)
    virtual: bool | None = None
    image: Image | None = None
    log: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Step]:
        """The steps that failed."""
        return [step for step in self.steps if step.status == "failed"]


class PhoneDiagnostics:
    """Runs every check on one phone.

    Args:
        context: the work of other stages.
        request: the phone.
        console: shows the progress.
        privacy: gets the phone's names, which the report must not contain.
        report: called with each step as soon as it is over.
    """

    def __init__(
        self,
        context: DiagnosticsContext,
        request: DiagnosticsRequest,
        console: Console,
        privacy: Privacy,
        report: Callable[[Step], None],
    ) -> None:
        self._components = request.components
        self._checklist = Checklist(report)
        self._connection = ConnectionChecks(context.build_bundle, request, console, privacy)
        self._worker = WorkerChecks(self._connection)
        self._results = ResultChecks(context.generate, self._connection, self._worker)

    def run(self) -> Findings:
        """Runs all checks, also after failures; no worker is left on the phone."""
        connection, worker, results = self._connection, self._worker, self._results
        check, check_connected = self._checklist.check, self._check_connected
        try:
            check("adb", connection.find_adb)
            check("phone", connection.find_phone, ["adb"])
            check("details", connection.ask_phone, ["phone"])
            check("bundle", connection.build_bundle, ["details"])
            check("runtime libraries", connection.select_libraries, ["bundle"])
            check("staging", connection.stage, ["runtime libraries"])
            check("worker", worker.start, ["staging"])
            for name in self._components:
                check_connected(f"load {name}", partial(worker.load, name))
            # It takes some time, which a lost worker isn't worth.
            check("reference", results.generate_reference, ["worker", _WORKER_CONNECTION])
            for name in self._components:
                check_connected(f"result {name}", partial(results.compare, name), f"load {name}", "reference")
            check_connected("image", results.generate, "reference", *(f"load {name}" for name in self._components))
            check_connected("memory and heat", worker.measure_again)
            check("worker's end", worker.end, ["worker"])
        finally:
            worker.close()
        findings = Findings(self._checklist.steps, connection.virtual, results.image)
        if findings.failed:
            findings.log = worker.log().splitlines()[-_LOG_LINES:]
        return findings

    def _check_connected(self, name: str, action: Callable[[Details], str], *needs: str) -> None:
        """Runs a step that uses the worker; if the worker is lost afterwards, later ones are skipped."""
        self._checklist.check(name, action, ["worker", _WORKER_CONNECTION, *needs])
        if self._worker.lost:
            self._checklist.mark_lost(_WORKER_CONNECTION, name)
