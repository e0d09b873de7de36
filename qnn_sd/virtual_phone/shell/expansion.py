"""Expands words into arguments: variables, substitution, field splitting, file names (POSIX.1-2017, section 2.6)."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Iterable
from contextlib import suppress

from qnn_sd.virtual_phone.android.file_system import FileSystem
from qnn_sd.virtual_phone.shell.syntax import Part, Word

# A field that is being built: texts, and whether each was quoted.
_Field = list[tuple[str, bool]]


def expand_to_text(word: Word, value: Callable[[Part], str]) -> str:
    """Expands a word to one text, neither split nor globbed.

    Args:
        word: the word.
        value: gives the value of a variable or a command substitution.
    """
    return "".join(part.text if part.kind == "text" else value(part) for part in word)


def expand(words: Iterable[Word], value: Callable[[Part], str], files: FileSystem, cwd: str) -> list[str]:
    """Expands words into arguments.

    Args:
        words: the words.
        value: gives the value of a variable or a command substitution.
        files: the phone's file system, for file names.
        cwd: the working directory.
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


def _file_names(field: _Field, files: FileSystem, cwd: str) -> list[str]:
    """The matching file names; the text itself if it is no pattern, or if nothing matches."""
    text = "".join(piece for piece, _ in field)
    if not any(glob.has_magic(piece) for piece, quoted in field if not quoted):
        return [text]
    pattern = "".join(glob.escape(piece) if quoted else piece for piece, quoted in field)
    matches = ["/"] if pattern.startswith("/") else [""]
    for part in filter(None, pattern.split("/")):
        matches = [path for folder in matches for path in _matches_in(folder, part, files, cwd)]
    return matches or [text]


def _matches_in(folder: str, part: str, files: FileSystem, cwd: str) -> list[str]:
    """The paths in a folder that one component of a pattern matches."""
    prefix = folder if folder in ("", "/") else f"{folder}/"
    if not glob.has_magic(part):
        with suppress(OSError):
            if files.resolve(prefix + part, cwd, follow=False).host_path.lstat():
                return [prefix + part]
        return []
    with suppress(OSError):
        names = files.list_folder(folder or ".", cwd)
        hidden = part.startswith(".")
        return [prefix + name for name in names if fnmatch.fnmatchcase(name, part) and name.startswith(".") <= hidden]
    return []
