"""Steps that depend on one another: what failed is told, what needs it is skipped, the rest goes on."""

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
        name: what was tried.
        status: ``skipped`` where a step that it needs failed.
        found: what is there, or what went wrong.
        advice: what to do; empty if all is well.
        seconds: how long it took.
        details: the same for machines, plain JSON values; of a failed step, what was found until then.
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
        tell: called with each as soon as it is over.

    Attributes:
        steps: those that are over, in order.
    """

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self._tell = tell
        self._unmet: dict[str, str] = {}
        self.steps: list[Step] = []

    def check(self, name: str, act: Callable[[Details], str], needs: Sequence[str] = ()) -> None:
        """Runs a step, or skips it.

        Args:
            name: of the step.
            act: fills in details and returns what was found; what it raises is the step's failure.
            needs: names of steps, or of what ``lose`` knows.
        """
        cause = next((self._unmet[need] for need in needs if need in self._unmet), None)
        if cause is not None:
            self._unmet[name] = cause
            self._add(Step(name, "skipped", f"because this failed: {cause}"))
            return
        details: Details = {}
        started = time.perf_counter()
        try:
            found = act(details)
        except QnnSdError as error:
            said = ": ".join(part for part in (error.what, error.why) if part)
            self._fail(name, said, error.hint, time.perf_counter() - started, details)
        except Exception as error:  # a step that breaks is a finding, not the end of the report
            details["traceback"] = traceback.format_exc()
            said = (str(error).splitlines() or [""])[0]
            hint = "This is a bug in qnn-sd: send the report."
            self._fail(name, f"{type(error).__name__}: {said}", hint, time.perf_counter() - started, details)
        else:
            self._add(Step(name, "ok", found, "", time.perf_counter() - started, details))

    def lose(self, what: str, cause: str) -> None:
        """Notes that a step took something with it that later ones need.

        Args:
            what: the name that ``needs`` has for it.
            cause: the step.
        """
        self._unmet.setdefault(what, cause)

    def _fail(self, name: str, found: str, advice: str, seconds: float, details: Details) -> None:
        self._unmet[name] = name
        self._add(Step(name, "failed", found, advice, seconds, details))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self._tell(step)
