"""The syntax tree of a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


class ShellSyntaxError(Exception):
    """The script has a construct that this shell doesn't support; nothing of it runs."""


@dataclass(frozen=True)
class Part:
    """A piece of a word.

    Attributes:
        kind: ``text``, the value of a ``variable``, or the output of a ``command``.
        text: the text, or the variable's name.
        quoted: whether it is neither split nor globbed.
        script: of a ``command``.
    """

    kind: Literal["text", "variable", "command"]
    text: str
    quoted: bool
    script: Script = ()


Word: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True)
class Operator:
    """An operator such as ``;``, ``&&`` or a newline; a redirection has the descriptor before it."""

    text: str
    descriptor: int | None = None


@dataclass(frozen=True)
class Redirection:
    """A redirection such as ``2>file``.

    Attributes:
        descriptor: 0, 1 or 2.
        operator: ``<``, ``>``, ``>>`` or ``>&``.
        target: a file, or for ``>&`` a descriptor.
    """

    descriptor: int
    operator: str
    target: Word


@dataclass(frozen=True)
class Simple:
    """A simple command; its assignments are for the command alone, or for the shell if it has no words."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class If:
    """``if``; each ``elif`` is another branch.

    Attributes:
        branches: each condition with its commands.
        otherwise: the commands after ``else``; empty without one.
    """

    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script


@dataclass(frozen=True)
class Pipeline:
    """Commands, each reading the output of the one before; ``negated`` by ``!``."""

    commands: tuple[Simple | If, ...]
    negated: bool


@dataclass(frozen=True)
class Link:
    """A pipeline in an and-or list.

    Attributes:
        when: ``always``, or only after success (``&&``) or failure (``||``) of the one before.
    """

    when: Literal["always", "&&", "||"]
    pipeline: Pipeline


Script: TypeAlias = tuple[Link, ...]
