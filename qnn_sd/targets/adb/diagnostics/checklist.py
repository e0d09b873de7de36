"""Steps that depend on each other: a failed step is reported, the steps that need it are skipped, the others run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qnn_sd.errors import QnnSdError

Status = Literal["ok", "failed", "skipped"]
Details = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One line of the report.

    Attributes:
        name: what was checked.
        status: ``skipped`` if a step that it needs failed.
        found: the result, or the failure.
        advice: what to do; empty if all is well.
        seconds: how long it took.
        details: the result as JSON values; of a failed step, those up to the failure.
    """

    name: str
    status: Status
    found: str
    advice: str = ""
    seconds: float = 0.0
    details: Details = field(default_factory=dict)


class Checklist:
    """Runs steps.

    Args:
        report: called with each step as soon as it is over.

    Attributes:
        steps: the steps that are over, in order.
    """

    def __init__(self, report: Callable[[Step], None]) -> None:
        self._report = report
        # The failed step that caused it, by the name of a step or a resource that isn't available.
        self._causes: dict[str, str] = {}
        self.steps: list[Step] = []

    def check(self, name: str, action: Callable[[Details], str], needs: Sequence[str] = ()) -> None:
        """Runs a step, or skips it.

        Args:
            name: of the step.
            action: adds to the details and returns the result for people; what it raises is the step's failure.
            needs: names of steps, or of resources (see ``mark_lost``).
        """
        cause = next((self._causes[need] for need in needs if need in self._causes), None)
        if cause is not None:
            self._causes[name] = cause
            self._add(Step(name, "skipped", f"because this failed: {cause}"))
            return
        details: Details = {}
        started = time.perf_counter()
        try:
            found = action(details)
        except QnnSdError as error:
            message = ": ".join(part for part in (error.what, error.why) if part)
            self._fail(name, message, error.hint, time.perf_counter() - started, details)
        except Exception as error:  # an unexpected error is a failed step too, not the end of the report
            details["traceback"] = traceback.format_exc()
            message = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            hint = "This is a bug in qnn-sd: send the report."
            self._fail(name, message, hint, time.perf_counter() - started, details)
        else:
            self._add(Step(name, "ok", found, "", time.perf_counter() - started, details))

    def mark_lost(self, resource: str, cause: str) -> None:
        """Notes that a resource that later steps need is no longer available.

        Args:
            resource: its name in their ``needs``.
            cause: name of the step after which it was lost.
        """
        self._causes.setdefault(resource, cause)

    def _fail(self, name: str, found: str, advice: str, seconds: float, details: Details) -> None:
        self._causes[name] = name
        self._add(Step(name, "failed", found, advice, seconds, details))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self._report(step)
