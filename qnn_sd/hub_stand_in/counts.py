"""What was asked of a stand-in."""

from __future__ import annotations

import threading
from collections import Counter


class Counts:
    """Counters that tests read.

    Attributes:
        requests: by method and path, such as ``("POST", "/api/v1/jobs/")``.
        models_created: how many.
        datasets_created: how many.
        bytes_uploaded: of models and datasets, those of parts that were cut off included.
        jobs: by kind: ``compile``, ``link``, ``inference``, or ``profile`` for one without inputs.
        job_names: of all jobs, in order.
        zip_members: of each uploaded zip, in order: the names of its files.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.models_created = 0
        self.datasets_created = 0
        self.bytes_uploaded = 0
        self.jobs: Counter[str] = Counter()
        self.job_names: list[str] = []
        self.zip_members: list[tuple[str, ...]] = []
        self._lock = threading.Lock()

    def requested(self, method: str, part: str = "") -> int:
        """How many requests of a method had a path with a part in it."""
        with self._lock:
            return sum(count for (each, path), count in self.requests.items() if each == method and part in path)

    def add_request(self, method: str, path: str) -> None:
        """Counts a request."""
        with self._lock:
            self.requests[method, path] += 1

    def add_model(self) -> None:
        """Counts a model."""
        with self._lock:
            self.models_created += 1

    def add_dataset(self) -> None:
        """Counts a dataset."""
        with self._lock:
            self.datasets_created += 1

    def add_bytes(self, count: int) -> None:
        """Counts uploaded bytes."""
        with self._lock:
            self.bytes_uploaded += count

    def add_job(self, kind: str, name: str) -> None:
        """Counts a job."""
        with self._lock:
            self.jobs[kind] += 1
            self.job_names.append(name)

    def add_zip(self, members: tuple[str, ...]) -> None:
        """Notes the files of an uploaded zip."""
        with self._lock:
            self.zip_members.append(members)
