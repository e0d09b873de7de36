"""Documents of ``qnn-sd doctor``: its result, and what its report on a phone holds for programs."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import StrictModel
from qnn_sd.health_checks import CheckResult
from qnn_sd.health_checks import Status as CheckStatus
from qnn_sd.schemas import Document, ImageSize
from qnn_sd.targets.adb.diagnostics import Step


class Check(StrictModel):
    """Something of this machine that was looked at.

    Attributes:
        name: what.
        status: ``missing`` is something that only some commands need, a ``warning`` something that nobody tried or
            that a phone will lack; ``failed`` stops qnn-sd.
        found: what is there.
        next: what to do; empty if all is well.
    """

    name: str
    status: CheckStatus
    found: str
    next: str

    @classmethod
    def of(cls, result: CheckResult) -> Self:
        """As JSON."""
        return cls(name=result.check, status=result.status, found=result.found, next=result.advice)


class PhoneStep(StrictModel):
    """A step that was tried on a phone.

    Attributes:
        name: what was tried.
        status: ``skipped`` where a step that it needs failed.
        found: what is there, or what went wrong.
        next: what to do; empty if all is well.
        seconds: how long it took.
        details: more of what was found; its fields depend on the step.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    found: str
    next: str
    seconds: float
    details: dict[str, Any]

    @classmethod
    def of(cls, step: Step) -> Self:
        """As JSON."""
        return cls(
            name=step.name,
            status=step.status,
            found=step.found,
            next=step.advice,
            seconds=round(step.seconds, 3),
            details=step.details,
        )


class PhoneReportSettings(StrictModel):
    """What was asked for.

    Attributes:
        model: name of the model config; null where the checkpoint decides it and was not reached.
        size: of the image; null where the model is.
        own_checkpoint: whether another checkpoint than the config's was built.
        soc: as typed; null for the phone's own.
        prompt: of the image.
        seed: of its noise.
        steps: sampling steps.
    """

    model: str | None
    size: ImageSize | None
    own_checkpoint: bool
    soc: str | None
    prompt: str
    seed: int
    steps: int


class Host(StrictModel):
    """The computer.

    Attributes:
        system: its operating system.
        machine: its processor's architecture.
        versions: of Python, qnn-sd and packages, by name.
    """

    system: str
    machine: str
    versions: dict[str, str]


class PhoneReport(Document):
    """Every step on a phone, without private names: what ``qnn-sd doctor --phone`` found, also in its report.

    Attributes:
        made_at: when, UTC, ISO 8601.
        phone: what kind was reached.
        healthy: whether no step failed.
        settings: what was asked for.
        host: the computer.
        checks: of this machine.
        steps: on the phone, in order.
        worker_log: its last lines, where a step failed once the worker was started.
    """

    schema_id: Literal["qnn-sd/phone-report/1"] = Field("qnn-sd/phone-report/1", alias="schema")
    made_at: str
    phone: Literal["real", "virtual", "none"]
    healthy: bool
    settings: PhoneReportSettings
    host: Host
    checks: list[Check]
    steps: list[PhoneStep]
    worker_log: list[str]


class DoctorDocument(Document):
    """What ``qnn-sd doctor`` found.

    Attributes:
        version: of qnn-sd.
        healthy: whether no check and no step failed.
        checks: of this machine.
        phone: null without --phone.
        error: what the command ended with where something failed; else null.
    """

    schema_id: Literal["qnn-sd/doctor/1"] = Field("qnn-sd/doctor/1", alias="schema")
    version: str
    healthy: bool
    checks: list[Check]
    phone: PhoneReport | None
    error: ErrorDetail | None
