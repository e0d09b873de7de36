"""What a script is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


class ShellSyntaxError(Exception):
    """Something that this shell doesn't read; nothing of the script runs."""


@dataclass(frozen=True)
class Part:
    """A piece of a word.

    Attributes:
        kind: ``text``, the value of a ``variable``, or the output of a ``command``.
        text: the text, or the variable's name.
        quoted: whether it is safe from splitting and globbing.
        script: of a ``command``.
    """

    kind: Literal["text", "variable", "command"]
    text: str
    quoted: bool
    script: Script = ()


Word: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True)
class Operator:
    """``;``, ``&&``, a line's end and the like; for redirections with the descriptor before it."""

    text: str
    descriptor: int | None = None


@dataclass(frozen=True)
class Redirection:
    """``2>file`` and its kin.

    Attributes:
        descriptor: 0, 1 or 2.
        how: ``<``, ``>``, ``>>`` or ``>&``.
        target: a file, or for ``>&`` a descriptor.
    """

    descriptor: int
    how: str
    target: Word


@dataclass(frozen=True)
class Simple:
    """A command with its words; NAME=value pairs before it are its own, or the shell's if there is no command."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class If:
    """``if``; each ``elif`` is another branch.

    Attributes:
        branches: condition and what it leads to.
        otherwise: after ``else``, or nothing.
    """

    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script


@dataclass(frozen=True)
class Pipeline:
    """Commands whose output feeds the next one; ``negated`` by ``!``."""

    commands: tuple[Simple | If, ...]
    negated: bool


@dataclass(frozen=True)
class Link:
    """A pipeline in an and-or list.

    Attributes:
        when: ``always``, or only after success (``&&``) or failure (``||``) of what came before.
    """

    when: Literal["always", "&&", "||"]
    pipeline: Pipeline


Script: TypeAlias = tuple[Link, ...]
