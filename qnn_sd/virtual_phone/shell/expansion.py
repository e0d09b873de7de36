"""From words to arguments: variables, commands' output, splitting, file names (POSIX.1-2017, section 2.6)."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Iterable
from contextlib import suppress

from qnn_sd.virtual_phone.files import PhoneFiles
from qnn_sd.virtual_phone.shell.syntax import Part, Word

# A field while it is put together: texts, and whether each was quoted.
_Field = list[tuple[str, bool]]


def expand_to_text(word: Word, value: Callable[[Part], str]) -> str:
    """A word as one text, neither split nor globbed.

    Args:
        word: to expand.
        value: of a variable or command.
    """
    return "".join(part.text if part.kind == "text" else value(part) for part in word)


def expand(words: Iterable[Word], value: Callable[[Part], str], files: PhoneFiles, cwd: str) -> list[str]:
    """Words as arguments.

    Args:
        words: to expand.
        value: of a variable or command.
        files: where names are looked for.
        cwd: where relative ones start.
    """
    arguments: list[str] = []
    for word in words:
        for field in _fields(word, value):
            arguments += _file_names(field, files, cwd)
    return arguments


def _fields(word: Word, value: Callable[[Part], str]) -> list[_Field]:
    fields: list[_Field] = []
    current: _Field | None = None
    for part in word:
        if part.kind == "text" or part.quoted:
            current = [*(current or []), (part.text if part.kind == "text" else value(part), part.quoted)]
            continue
        text = value(part)
        if text[:1].isspace() and current is not None:
            fields.append(current)
            current = None
        for index, piece in enumerate(text.split()):
            if index and current is not None:
                fields.append(current)
                current = None
            current = [*(current or []), (piece, False)]
        if text[-1:].isspace() and current is not None:
            fields.append(current)
            current = None
    return fields if current is None else [*fields, current]


def _file_names(field: _Field, files: PhoneFiles, cwd: str) -> list[str]:
    """The names that match; the text itself if it is no pattern or nothing matches."""
    text = "".join(piece for piece, _ in field)
    if not any(glob.has_magic(piece) for piece, quoted in field if not quoted):
        return [text]
    pattern = "".join(glob.escape(piece) if quoted else piece for piece, quoted in field)
    found = ["/"] if pattern.startswith("/") else [""]
    for part in filter(None, pattern.split("/")):
        found = [longer for above in found for longer in _below(above, part, files, cwd)]
    return found or [text]


def _below(above: str, part: str, files: PhoneFiles, cwd: str) -> list[str]:
    prefix = above if above in ("", "/") else f"{above}/"
    if not glob.has_magic(part):
        with suppress(OSError):
            if files.place(prefix + part, cwd, follow=False).host.lstat():
                return [prefix + part]
        return []
    with suppress(OSError):
        names = files.names(above or ".", cwd)
        hidden = part.startswith(".")
        return [prefix + name for name in names if fnmatch.fnmatchcase(name, part) and name.startswith(".") <= hidden]
    return []
