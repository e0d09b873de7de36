"""What was uploaded and submitted: so that nothing is twice, also where this process was killed in between.

An intent is written before a request, the answer's identifier after it. Files are written beside their place and
renamed. The folder's name is a hash of the account; the token is in no file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qnn_sd.ai_hub.work import JobKind
from qnn_sd.console import Console
from qnn_sd.output_files import output_error, written_aside

FOLDER = "ai-hub"
# As far as dates are known to be read; what is beyond was not written here.
_Seconds = Annotated[float, Field(ge=0, le=4e9, allow_inf_nan=False)]
# An identifier is part of an address.
_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class _Entry(BaseModel):
    # An entry that a later version wrote may have more.
    model_config = ConfigDict(extra="ignore", frozen=True)


class UploadEntry(_Entry):
    """A model or dataset.

    Attributes:
        sha256: of its content.
        label: what people call it.
        kind: which of the two.
        id: at AI Hub; None as long as it isn't known to be whole there.
        at: when it was written here, seconds since the epoch.
    """

    sha256: str
    label: str
    kind: Literal["model", "dataset"]
    id: _Identifier | None
    at: _Seconds


class ConsentEntry(_Entry):
    """A checkpoint of which may be uploaded what is made of it.

    Attributes:
        key: hash of its content.
        name: for people.
        at: when it was allowed, seconds since the epoch.
    """

    key: str
    name: str
    at: _Seconds


class JobEntry(_Entry):
    """A job.

    Attributes:
        key: of its work.
        name: at AI Hub; the key is in it.
        kind: what it does.
        label: what people call it.
        device: name of the device.
        os: version of the device's system.
        id: at AI Hub; None as long as no answer came.
        at: when it was to be submitted, seconds since the epoch.
        state: ``submitted``, ``done`` or ``failed``, as it was last seen.
        failure_type: AI Hub's number, of a failed one.
        purpose: what to do with its result: names a folder of the artifact that it measures.
        gone: identifiers of jobs of this work that AI Hub no longer has, or whose result it no longer has.
    """

    key: str
    name: str
    kind: JobKind
    label: str
    device: str
    os: str = ""
    id: _Identifier | None
    at: _Seconds
    state: Literal["submitted", "done", "failed"] = "submitted"
    failure_type: int | None = None
    purpose: dict[str, str] = Field(default_factory=dict)
    gone: tuple[str, ...] = ()

    @property
    def is_gone(self) -> bool:
        """Whether the job, or its result, is no longer there."""
        return self.id in self.gone


_AnyEntry = TypeVar("_AnyEntry", bound=_Entry)


class Journal:
    """The journal of one account.

    Args:
        cache: folder of the artifacts; the journal is beside them.
        account_key: what tells accounts apart.
    """

    def __init__(self, cache: Path, account_key: str) -> None:
        self.folder = cache / FOLDER / account_key

    def upload(self, sha256: str) -> UploadEntry | None:
        """What is known of an upload; None where nothing is."""
        return _read(self._path("uploads", sha256), UploadEntry)

    def job(self, key: str) -> JobEntry | None:
        """What is known of a work's job; None where nothing is."""
        return _read(self._path("jobs", key), JobEntry)

    def jobs(self) -> list[JobEntry]:
        """All of them, newest first."""
        paths = (self.folder / "jobs").glob("*.json")
        found = [entry for path in paths if (entry := _read(path, JobEntry)) is not None]
        return sorted(found, key=lambda each: each.at, reverse=True)

    def is_allowed(self, key: str) -> bool:
        """Whether what is made of a checkpoint may be uploaded."""
        return _read(self._path("allowed", key), ConsentEntry) is not None

    def allow(self, key: str, name: str) -> None:
        """Remembers that it may.

        Args:
            key: hash of the checkpoint's content.
            name: for people.

        Raises:
            OutputError: it can't be written.
        """
        self._write(self._path("allowed", key), ConsentEntry(key=key, name=name, at=time.time()))

    def write(self, entry: UploadEntry | JobEntry) -> None:
        """Writes an entry, so that it is on the disk when this returns.

        Raises:
            OutputError: it can't be written.
        """
        kind, key = ("jobs", entry.key) if isinstance(entry, JobEntry) else ("uploads", entry.sha256)
        self._write(self._path(kind, key), entry)

    def _write(self, path: Path, entry: _Entry) -> None:
        self._make(path.parent)
        with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
            file.write(entry.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def held(self, key: str, what: str, console: Console) -> Iterator[None]:
        """Holds one upload or work while the block runs; waits where another process holds it.

        Some network file systems have no locks: the block runs there all the same.

        Args:
            key: of it.
            what: it is, for the remark.
            console: is told of the wait.

        Raises:
            OutputError: the folder can't be written.
        """
        path = self._path("locks", key).with_suffix(".lock")
        self._make(path.parent)
        try:
            file = path.open("w")
        except OSError as error:
            raise output_error(path, error) from error
        with file:
            with contextlib.suppress(OSError):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    console.say(f"another qnn-sd is at {what}: waiting for it")
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """An empty folder while the block runs; what a killed process left in it is deleted first.

        Args:
            key: of the upload, which is held.

        Raises:
            OutputError: it can't be made.
        """
        folder = self.folder / "scratch" / key
        shutil.rmtree(folder, ignore_errors=True)
        self._make(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / f"{key}.json"

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error


def _read(path: Path, form: type[_AnyEntry]) -> _AnyEntry | None:
    """An entry; None where there is none that can be read: then AI Hub is asked by name."""
    try:
        entry = form.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError, RecursionError):
        return None
    # Its key becomes a file's name again.
    key = entry.sha256 if isinstance(entry, UploadEntry) else getattr(entry, "key", None)
    return entry if key == path.stem else None
