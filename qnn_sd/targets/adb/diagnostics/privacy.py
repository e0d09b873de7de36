"""Removes what identifies the sender from a report: names of user, computer and phone, and paths."""

from __future__ import annotations

import getpass
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


class Privacy:
    """Replaces private names in a report; it knows those of user, home folder, computer and Python."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.hide(platform.node(), "HOST")
        # A user without an entry in passwd, as in some containers, has no name and no home.
        with suppress(OSError, KeyError):
            self.hide(getpass.getuser(), "USER")
        with suppress(RuntimeError):
            self.hide_path(Path.home(), "~")
        self.hide_path(Path(sys.prefix), "PYTHON")

    def hide(self, name: str, replacement: str) -> None:
        """Adds a private name; an empty one is ignored."""
        if name:
            self._names.setdefault(name, replacement)

    def hide_path(self, path: Path, replacement: str) -> None:
        """Adds a path, as it is written and resolved; the root folder is ignored."""
        for variant in {path, path.absolute(), path.resolve()}:
            if variant != Path(variant.anchor):
                self.hide(str(variant), replacement)

    def hide_serial(self, serial: str) -> None:
        """Adds a phone's serial; of a phone in the network also its address without the port."""
        self.hide(serial, "SERIAL")
        self.hide(re.sub(r":\d+$", "", serial), "SERIAL")

    def redact(self, value: Any) -> Any:
        """A copy of a JSON value with the private names replaced in all strings, but not in keys.

        A name is replaced unless a letter or digit precedes or follows it.
        """
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, dict):
            return {key: self.redact(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.redact(each) for each in value]
        return value

    def _redact(self, text: str) -> str:
        if not self._names:
            return text
        # The longest name first: the path of a home contains its user's name.
        longest_first = sorted(self._names, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        return re.sub(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", lambda match: self._names[match[0]], text)
