"""Moments of a virtual phone's life, counted from its start, at which a planned fault happens."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from qnn_sd.errors import SettingError

Unit = Literal["bytes", "load", "call"]
# A frame's length, id and kind (docs/worker-protocol.md).
_HEADER = struct.Struct("<IIB")
_UNITS: Mapping[int, Unit] = {2: "load", 4: "call", 5: "call"}


@dataclass(frozen=True)
class Moment:
    """When a fault happens.

    Attributes:
        unit: ``bytes`` that were pushed or fed to a shell; ``load``: a component that a worker is asked to open;
            ``call``: one that it is asked to run, with or without guidance.
        count: the how manyth, from 1.
    """

    unit: Unit
    count: int

    @staticmethod
    def parse(text: str) -> Moment:
        """Reads ``call:3``, ``load:1`` or ``2000000`` (bytes).

        Raises:
            SettingError: it is none of them.
        """
        unit, colon, count = text.rpartition(":")
        if count.isdecimal() and (unit in ("load", "call") if colon else True):
            return Moment(unit if colon else "bytes", int(count))  # type: ignore[arg-type]
        raise SettingError(f"{text!r} is no moment of a fault", hint="Write call:3, load:1, or a number of bytes.")


class Plan:
    """Counts what happens, and does what is planned, each once.

    Args:
        planned: moments and what happens then.
    """

    def __init__(self, planned: Iterable[tuple[Moment, Callable[[], object]]]) -> None:
        self._planned = list(planned)
        self._counts: Counter[Unit] = Counter()
        self._lock = threading.Lock()

    def count(self, unit: Unit, more: int = 1) -> None:
        """Counts, and does what is due."""
        with self._lock:
            self._counts[unit] += more
            due = [each for each in self._planned if each[0].unit == unit and each[0].count <= self._counts[unit]]
            self._planned = [each for each in self._planned if each not in due]
        for _moment, happen in due:
            happen()


class RequestCounter:
    """Counts a worker's requests as they pass by in pieces of any size.

    Args:
        plan: counts loads and calls.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._header, self._skip = plan, bytearray(), 0

    def pass_by(self, data: bytes) -> None:
        """Reads the next bytes that are sent to the worker."""
        view = memoryview(data)
        while view:
            skipped = min(self._skip, len(view))
            self._skip -= skipped
            view = view[skipped:]
            missing = _HEADER.size - len(self._header)
            self._header += view[:missing]
            view = view[missing:]
            if len(self._header) == _HEADER.size:
                self._skip, _request, kind = _HEADER.unpack(self._header)
                self._header.clear()
                if kind in _UNITS:
                    self._plan.count(_UNITS[kind])
