"""What the stand-in can be asked to do wrong."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Noise:
    """Noise on the outputs of inference jobs.

    Attributes:
        component: part of the job's or the model's name; case doesn't matter.
        db: SQNR in dB that it leaves of each output.
    """

    component: str
    db: float


@dataclass(frozen=True)
class Weakened:
    """An input of inference jobs that counts for less than it should, as conditioning that is lost on its way.

    Attributes:
        component: as in ``Noise``.
        input: its name.
        share: of what tells a sample's input from the mean of all samples, how much is lost; 1 is all.
    """

    component: str
    input: str
    share: float


@dataclass(frozen=True)
class JobFailure:
    """Jobs that fail instead of doing their work.

    Attributes:
        component: part of the job's kind, of its name or of the model's; ``inference/unet`` for jobs of one kind only.
        failure_type: number of the client's ``JobFailureType``, such as 12001.
        text: its reason, which is also in its log; empty for the failure's name.
        times: how many of them; None for all.
    """

    component: str
    failure_type: int
    text: str = ""
    times: int | None = None


@dataclass(frozen=True)
class Stuck:
    """Jobs that never end.

    Attributes:
        component: as in ``JobFailure``.
        state: number of the client's ``JobState`` that they stay in; 60 is PROVISIONING_DEVICE.
    """

    component: str
    state: int = 60


@dataclass(frozen=True)
class Slow:
    """Jobs whose end is told later.

    Attributes:
        polls: how often a job is asked for before it ends.
        component: as in ``JobFailure``; empty for all.
    """

    polls: int
    component: str = ""


@dataclass(frozen=True)
class WrongModel:
    """Compile and link jobs that deliver something else.

    Attributes:
        component: as in ``JobFailure``.
        file: what they deliver, such as another component's context binary.
    """

    component: str
    file: Path


@dataclass(frozen=True)
class StatusFault:
    """Requests that are answered with a status, and not carried out.

    Attributes:
        status: such as 500; 429 has a Retry-After.
        path: part of the request's path; empty for all.
        times: how many requests; None for all.
        method: such as ``POST``; empty for all.
    """

    status: int
    path: str = ""
    times: int | None = None
    method: str = ""


@dataclass(frozen=True)
class Faults:
    """Faults of one stand-in; none by default.

    Attributes:
        noises: on outputs.
        weakened: inputs.
        failures: jobs that fail.
        stuck: jobs that never end.
        slow: jobs that take their time.
        wrong_models: jobs that deliver something else.
        statuses: requests that are refused.
        retry_after: seconds, in the header of every answer with status 429.
        dropped_uploads: how many parts of uploads are cut off in the middle.
        dropped_downloads: how many downloads are.
        no_etag: whether parts of uploads are answered without an ETag, as some proxies do.
        wrong_token: whether no token is accepted.
        gone: devices that aren't listed any more, by name.
        retired: devices that are listed and that no job can be had on.
        quota: how many jobs can be made; further ones are answered with status 429.
        largest_model: bytes of the largest model that is taken; a larger one is answered with 413.
        lost_answers: how many jobs are made without an answer: the connection is closed.
        late_errors: how many jobs are made and answered with status 504.
        qairt: QAIRT release that it has instead of the local one, such as ``2.49``; newer binaries fail.
    """

    noises: tuple[Noise, ...] = ()
    weakened: tuple[Weakened, ...] = ()
    failures: tuple[JobFailure, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    slow: tuple[Slow, ...] = ()
    wrong_models: tuple[WrongModel, ...] = ()
    statuses: tuple[StatusFault, ...] = ()
    retry_after: int = 1
    dropped_uploads: int = 0
    dropped_downloads: int = 0
    no_etag: bool = False
    wrong_token: bool = False
    gone: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    quota: int | None = None
    largest_model: int | None = None
    lost_answers: int = 0
    late_errors: int = 0
    qairt: str | None = None


NO_FAULTS = Faults()


class FaultBox:
    """The faults as they are now, and how often those with a number have shown.

    Args:
        faults: to begin with.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults, self._spent = faults, Counter[object]()
        self._lock = threading.Lock()

    @property
    def now(self) -> Faults:
        """What holds now."""
        return self._faults

    def set(self, faults: Faults) -> None:
        """Replaces all; numbers count from zero again."""
        with self._lock:
            self._faults, self._spent = faults, Counter()

    def strikes(self, fault: object, times: int | None) -> bool:
        """Whether a fault shows once more, and counts it.

        Args:
            fault: which one.
            times: how often it may; None for always.
        """
        with self._lock:
            if times is not None and self._spent[fault] >= times:
                return False
            self._spent[fault] += 1
            return True


def concerns(component: str, kind: str, *names: str) -> bool:
    """Whether a fault is one of a job's.

    Args:
        component: the fault's; case doesn't matter.
        kind: of the job.
        names: its own, and those of its models.
    """
    of_kind, slash, part = component.lower().partition("/")
    if slash:
        return kind == of_kind and any(part in name.lower() for name in names)
    return any(of_kind in text.lower() for text in (kind, *names))
