"""What a stand-in keeps: its token, port, models, datasets and jobs, in one folder.

Records are the client's own messages, a file each, so that a stand-in that is started again has what it had.
"""

from __future__ import annotations

import fcntl
import re
import secrets
import string
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from qai_hub import public_api_pb2 as api

from qnn_sd.errors import SettingError
from qnn_sd.hub_stand_in.refusals import RequestRefused
from qnn_sd.output_files import written_aside

_Message = TypeVar("_Message")
_LETTERS = string.ascii_lowercase + string.digits
TOKEN_FILE = "token"
ID = re.compile(r"[mdj][a-z0-9]{8}")


class Table(Generic[_Message]):
    """Records of one kind, by id, in the order in which they were made.

    Args:
        folder: that holds them; made if it isn't there.
        kind: class of the messages.
        letter: that ids begin with.
    """

    def __init__(self, folder: Path, kind: Callable[[], Any], letter: str) -> None:
        self._folder, self._letter = folder, letter
        self._records: dict[str, _Message] = {}
        self._numbers: dict[str, int] = {}
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.pb")):
            number, _, name = path.stem.partition("-")
            record = kind()
            record.ParseFromString(path.read_bytes())
            self._records[name], self._numbers[name] = record, int(number)

    def new_id(self) -> str:
        """An id that nothing has."""
        return self._letter + "".join(secrets.choice(_LETTERS) for _ in range(8))

    def put(self, name: str, record: _Message) -> None:
        """Keeps a record, new or changed."""
        with self._lock:
            number = self._numbers.setdefault(name, max(self._numbers.values(), default=0) + 1)
            self._records[name] = record
            with written_aside(self._folder / f"{number:06d}-{name}.pb") as aside:
                aside.write_bytes(record.SerializeToString())  # type: ignore[attr-defined]

    def get(self, name: str) -> _Message:
        """A record.

        Raises:
            RequestRefused: there is none (404).
        """
        record = self._records.get(name)
        if record is None:
            raise RequestRefused(404, "Not found.")
        return record

    def newest_first(self) -> list[_Message]:
        """All of them."""
        with self._lock:
            return [self._records[name] for name in sorted(self._numbers, key=self._numbers.__getitem__, reverse=True)]


class Store:
    """All that a stand-in keeps.

    Args:
        folder: made if it isn't there.

    Raises:
        OSError: it can't be written.
        SettingError: it is in use, or holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / TOKEN_FILE).is_file():
            raise SettingError(
                f"{folder} is another folder than a stand-in's",
                why="It holds other files.",
                hint="Give a new folder with --folder, or that of a former stand-in.",
            )
        self._in_use = (folder / "in-use").open("w")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._in_use.close()
            raise SettingError(
                f"Another stand-in runs in {folder}", hint="End that one, or give another folder with --folder."
            ) from error
        self.token = self.secret(TOKEN_FILE)
        self.models: Table[api.Model] = Table(folder / "models", api.Model, "m")
        self.datasets: Table[api.Dataset] = Table(folder / "datasets", api.Dataset, "d")
        self.jobs: Table[api.Job] = Table(folder / "jobs", api.Job, "j")
        self.lock = threading.RLock()

    def close(self) -> None:
        """Lets another stand-in have the folder."""
        self._in_use.close()

    def secret(self, name: str) -> str:
        """A random word that stays the same in this folder."""
        path = self.folder / name
        if not path.is_file():
            self.put_secret(name, secrets.token_hex(20))
        return path.read_text("utf-8").strip()

    def put_secret(self, name: str, text: str) -> Path:
        """Writes a file that this user alone can read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, "utf-8")
        return path

    def files_of(self, name: str) -> Path:
        """Folder of a model's, dataset's or job's files.

        Raises:
            RequestRefused: it is no id (404): no path is made of anything else.
        """
        if not ID.fullmatch(name):
            raise RequestRefused(404, "Not found.")
        folder = self.folder / "files" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def content_of(self, name: str) -> Path:
        """The file that was uploaded or made, which need not be there yet."""
        return self.files_of(name) / "content"
