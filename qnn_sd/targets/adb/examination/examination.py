"""The order of the steps, from adb's server to the worker's end, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from qnn_sd.console import Console
from qnn_sd.targets.adb.examination.checklist import Checklist, Facts, Step
from qnn_sd.targets.adb.examination.means import Means, Picture, Subject
from qnn_sd.targets.adb.examination.privacy import Privacy
from qnn_sd.targets.adb.examination.results import Results
from qnn_sd.targets.adb.examination.way import WayToPhone
from qnn_sd.targets.adb.examination.worker import ExaminedWorker

_LOG_LINES = 80
# What is lost when the worker dies or says what makes no sense.
_CONNECTION = "the connection to the worker"


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
        subject: what is examined.
        console: for progress.
        privacy: is told what the phone is called.
        tell: called with each step as soon as it is over.
    """

    def __init__(
        self,
        means: Means,
        subject: Subject,
        console: Console,
        privacy: Privacy,
        tell: Callable[[Step], None],
    ) -> None:
        self._components = subject.components
        self._list = Checklist(tell)
        self._way = WayToPhone(means.bundle, subject, console, privacy)
        self._worker = ExaminedWorker(self._way)
        self._results = Results(means.paint, self._way, self._worker)

    def run(self) -> Findings:
        """All steps, whatever becomes of them; no worker is left on the phone."""
        way, worker, results = self._way, self._worker, self._results
        check, connected = self._list.check, self._check_connected
        try:
            check("adb", way.find_adb)
            check("phone", way.find_phone, ["adb"])
            check("facts", way.ask_phone, ["phone"])
            check("bundle", way.make_bundle, ["facts"])
            check("runtime libraries", way.pick_libraries, ["bundle"])
            check("staging", way.stage, ["runtime libraries"])
            check("worker", worker.start, ["staging"])
            for name in self._components:
                connected(f"load {name}", partial(worker.load, name))
            # It takes a while: not for a worker that is gone.
            check("reference", results.paint_reference, ["worker", _CONNECTION])
            for name in self._components:
                connected(f"result {name}", partial(results.compare, name), f"load {name}", "reference")
            connected("picture", results.paint, "reference", *(f"load {name}" for name in self._components))
            connected("memory and heat", worker.look_again)
            check("worker's end", worker.end, ["worker"])
        finally:
            worker.close()
        findings = Findings(self._list.steps, way.virtual, results.picture)
        if findings.failed:
            findings.log = worker.log().splitlines()[-_LOG_LINES:]
        return findings

    def _check_connected(self, name: str, act: Callable[[Facts], str], *needs: str) -> None:
        """A step that speaks to the worker; where it is gone afterwards, no later one tries."""
        self._list.check(name, act, ["worker", _CONNECTION, *needs])
        if self._worker.lost:
            self._list.lose(_CONNECTION, name)
