"""What a report that is sent to strangers may not tell: who and where its sender is."""

from __future__ import annotations

import getpass
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


class Privacy:
    """Replaces names in whatever goes into a report; from the start those of the user, home, machine and Python."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.hide(platform.node(), "HOST")
        # A user without an entry in passwd, as in some containers, has no name and no home.
        with suppress(OSError, KeyError):
            self.hide(getpass.getuser(), "USER")
        with suppress(RuntimeError):
            self.hide_path(Path.home(), "~")
        self.hide_path(Path(sys.prefix), "PYTHON")

    def hide(self, name: str, instead: str) -> None:
        """Notes a name, of any length; an empty one is none."""
        if name:
            self._names.setdefault(name, instead)

    def hide_path(self, path: Path, instead: str) -> None:
        """Notes a path as it is written and as it is resolved; the root folder stays."""
        for each in {path, path.absolute(), path.resolve()}:
            if each != Path(each.anchor):
                self.hide(str(each), instead)

    def hide_serial(self, serial: str) -> None:
        """Notes a phone's name at adb; of one in the network its address without the port, too."""
        self.hide(serial, "SERIAL")
        self.hide(re.sub(r":\d+$", "", serial), "SERIAL")

    def clean(self, value: Any) -> Any:
        """A JSON value with the names replaced in all its strings; a mapping's keys stay.

        A name is replaced where letters and digits neither precede nor follow it.
        """
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, dict):
            return {key: self.clean(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean(each) for each in value]
        return value

    def _clean(self, text: str) -> str:
        if not self._names:
            return text
        # Of two names that begin alike the longer one is meant: a home's path holds its user's name.
        longest_first = sorted(self._names, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        return re.sub(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", lambda found: self._names[found[0]], text)
