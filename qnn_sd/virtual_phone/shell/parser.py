"""Parses tokens into a script (POSIX.1-2017, Shell Command Language, section 2.10)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from qnn_sd.virtual_phone.shell.syntax import (
    If,
    Link,
    Operator,
    Part,
    Pipeline,
    Redirection,
    Script,
    ShellSyntaxError,
    Simple,
    Word,
)
from qnn_sd.virtual_phone.shell.tokens import Token, Tokenizer

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_REDIRECTIONS = ("<", ">", ">>", ">&")
_SUPPORTED_KEYWORDS = ("if", "then", "elif", "else", "fi", "!")
# Reserved words of constructs that sh has and this shell doesn't.
_UNSUPPORTED_KEYWORDS = (
    "for",
    "while",
    "until",
    "do",
    "done",
    "case",
    "esac",
    "in",
    "function",
    "select",
    "time",
    "[[",
)


def parse(text: str) -> Script:
    """Parses a script.

    Raises:
        ShellSyntaxError: it is invalid, or has a construct that this shell doesn't support; nothing is skipped.
    """
    try:
        return _Parser(list(Tokenizer(text, parse).tokens())).script()
    except RecursionError as error:
        raise ShellSyntaxError("nested too deeply") from error


def _keyword(token: Token | None) -> str:
    """The text of a token that can be a reserved word, which is never quoted; empty for others."""
    if not isinstance(token, tuple) or any(part.kind != "text" or part.quoted for part in token):
        return ""
    return "".join(part.text for part in token)


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._at = tokens, 0

    def script(self) -> Script:
        links = self._list(())
        if self._peek() is not None:
            raise self._unexpected()
        return links

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _operator(self) -> str:
        token = self._peek()
        return token.text if isinstance(token, Operator) else ""

    def _unexpected(self) -> ShellSyntaxError:
        token = self._peek()
        if token is None:
            return ShellSyntaxError("unexpected end")
        text = token.text if isinstance(token, Operator) else "".join(part.text for part in token)
        return ShellSyntaxError("unexpected end of line" if text == "\n" else f"unexpected '{text}'")

    def _skip_newlines(self) -> None:
        while self._operator() == "\n":
            self._at += 1

    def _list(self, ends: Collection[str]) -> Script:
        """And-or lists up to one of the reserved words ``ends``, or to the end of the script."""
        links: list[Link] = []
        self._skip_newlines()
        while self._peek() is not None and _keyword(self._peek()) not in (*ends, "then", "elif", "else", "fi"):
            self._and_or(links)
            if self._operator() not in (";", "\n"):
                break
            self._at += 1
            self._skip_newlines()
        return tuple(links)

    def _and_or(self, links: list[Link]) -> None:
        when: Literal["always", "&&", "||"] = "always"
        while True:
            links.append(Link(when, self._pipeline()))
            operator = self._operator()
            if operator == "&&":
                when = "&&"
            elif operator == "||":
                when = "||"
            else:
                return
            self._at += 1
            self._skip_newlines()

    def _pipeline(self) -> Pipeline:
        negated = _keyword(self._peek()) == "!"
        self._at += negated
        commands = [self._command()]
        while self._operator() == "|":
            self._at += 1
            self._skip_newlines()
            commands.append(self._command())
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Simple | If:
        keyword = _keyword(self._peek())
        if keyword == "if":
            return self._if()
        if keyword in _SUPPORTED_KEYWORDS or keyword in _UNSUPPORTED_KEYWORDS:
            raise self._unexpected()
        return self._simple()

    def _expect(self, *keywords: str) -> str:
        keyword = _keyword(self._peek())
        if keyword not in keywords:
            raise self._unexpected()
        self._at += 1
        return keyword

    def _if(self) -> If:
        branches = []
        keyword = self._expect("if")
        while keyword in ("if", "elif"):
            condition = self._nonempty_list(("then",))
            self._expect("then")
            branches.append((condition, self._nonempty_list(("elif", "else", "fi"))))
            keyword = self._expect("elif", "else", "fi")
        otherwise: Script = ()
        if keyword == "else":
            otherwise = self._nonempty_list(("fi",))
            self._expect("fi")
        return If(tuple(branches), otherwise)

    def _nonempty_list(self, ends: Collection[str]) -> Script:
        script = self._list(ends)
        if not script:
            raise self._unexpected()
        return script

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        while (token := self._peek()) is not None:
            if isinstance(token, Operator):
                if token.text not in _REDIRECTIONS:
                    break
                self._at += 1
                redirections.append(self._redirection(token))
                continue
            assignment = None if words else _assignment(token)
            if assignment:
                assignments.append(assignment)
            else:
                words.append(token)
            self._at += 1
        if not (assignments or words):
            raise self._unexpected()
        return Simple(tuple(assignments), tuple(words), tuple(redirections))

    def _redirection(self, operator: Operator) -> Redirection:
        target = self._peek()
        if not isinstance(target, tuple):
            raise self._unexpected()
        if operator.text == ">&" and _keyword(target) not in ("1", "2"):
            raise self._unexpected()
        self._at += 1
        default = 0 if operator.text == "<" else 1
        return Redirection(default if operator.descriptor is None else operator.descriptor, operator.text, target)


def _assignment(word: Word) -> tuple[str, Word] | None:
    """Name and value of a word such as ``NAME=value``; None for another word."""
    plain = ""
    for index, part in enumerate(word):
        if part.kind != "text" or part.quoted:
            return None
        plain += part.text
        if part.text == "=":
            if not _ASSIGNMENT.fullmatch(plain):
                return None
            # A value is neither split nor globbed.
            value = tuple(Part(rest.kind, rest.text, True, rest.script) for rest in word[index + 1 :])
            return plain[:-1], value
    return None
