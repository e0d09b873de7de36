"""The order of the steps, from adb's server to the worker's end, and what became of them."""

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
# What is lost when the worker dies or says what makes no sense.
_CONNECTION = "the connection to the worker"


@dataclass
class Findings:
    """What an examination found.

    Attributes:
        steps: in order.
        virtual: whether it was a virtual phone; None if none was reached.
        image: the phone's, or None.
        log: the last lines that the worker logged, if a step failed once it was started.
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
    """Tries every step on one phone.

    Args:
        means: the stages' part.
        subject: what is examined.
        console: for progress.
        privacy: is told what the phone is called.
        tell: called with each step as soon as it is over.
    """

    def __init__(
        self,
        means: DiagnosticsContext,
        subject: DiagnosticsRequest,
        console: Console,
        privacy: Privacy,
        tell: Callable[[Step], None],
    ) -> None:
        self._components = subject.components
        self._list = Checklist(tell)
        self._way = ConnectionChecks(means.bundle, subject, console, privacy)
        self._worker = WorkerChecks(self._way)
        self._results = ResultChecks(means.generate, self._way, self._worker)

    def run(self) -> Findings:
        """All steps, whatever becomes of them; no worker is left on the phone."""
        way, worker, results = self._way, self._worker, self._results
        check, connected = self._list.check, self._check_connected
        try:
            check("adb", way.find_adb)
            check("phone", way.find_phone, ["adb"])
            check("details", way.ask_phone, ["phone"])
            check("bundle", way.make_bundle, ["details"])
            check("runtime libraries", way.pick_libraries, ["bundle"])
            check("staging", way.stage, ["runtime libraries"])
            check("worker", worker.start, ["staging"])
            for name in self._components:
                connected(f"load {name}", partial(worker.load, name))
            # It takes a while: not for a worker that is gone.
            check("reference", results.generate_reference, ["worker", _CONNECTION])
            for name in self._components:
                connected(f"result {name}", partial(results.compare, name), f"load {name}", "reference")
            connected("image", results.generate, "reference", *(f"load {name}" for name in self._components))
            connected("memory and heat", worker.look_again)
            check("worker's end", worker.end, ["worker"])
        finally:
            worker.close()
        findings = Findings(self._list.steps, way.virtual, results.image)
        if findings.failed:
            findings.log = worker.log().splitlines()[-_LOG_LINES:]
        return findings

    def _check_connected(self, name: str, act: Callable[[Details], str], *needs: str) -> None:
        """A step that speaks to the worker; where it is gone afterwards, no later one tries."""
        self._list.check(name, act, ["worker", _CONNECTION, *needs])
        if self._worker.lost:
            self._list.lose(_CONNECTION, name)
