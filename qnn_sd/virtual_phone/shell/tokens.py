"""Splits the text of a script into words and operators (POSIX.1-2017, Shell Command Language, sections 2.2 and 2.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from qnn_sd.virtual_phone.shell.syntax import Operator, Part, Script, ShellSyntaxError, Word

Token = Word | Operator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REDIRECTION = re.compile(r"([0-2]?)(>>|>&|<|>)(?![<&|(])")
_OPERATORS = ("&&", "||", ";", "|", "\n")
_ENDS_WORD = " \t\n;&|<>()"


class Tokenizer:
    """Splits one script.

    Args:
        text: the script.
        parse: parses the script in ``$(...)``.
    """

    def __init__(self, text: str, parse: Callable[[str], Script]) -> None:
        self._text, self._parse = text, parse
        self._at = 0

    def tokens(self) -> Iterator[Token]:
        """The tokens in order.

        Raises:
            ShellSyntaxError: it is invalid, or has a construct that isn't supported.
        """
        while self._at < len(self._text):
            here = self._text[self._at]
            if here in " \t":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif here == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif operator := self._operator():
                yield operator
            else:
                yield self._word()

    def _operator(self) -> Operator | None:
        redirection = _REDIRECTION.match(self._text, self._at)
        if redirection:
            self._at = redirection.end()
            return Operator(redirection[2], int(redirection[1]) if redirection[1] else None)
        for text in _OPERATORS:
            if self._text.startswith(text, self._at) and not self._text.startswith(";;", self._at):
                self._at += len(text)
                return Operator(text)
        if self._text[self._at] in _ENDS_WORD:
            raise ShellSyntaxError(f"unexpected '{self._text[self._at]}'")
        return None

    def _word(self) -> Word:
        parts: list[Part] = []
        if self._text[self._at] == "~":
            raise ShellSyntaxError("unexpected '~'")
        while self._at < len(self._text) and self._text[self._at] not in _ENDS_WORD:
            here = self._text[self._at]
            if here == "'":
                parts.append(Part("text", self._until("'"), quoted=True))
            elif here == '"':
                self._at += 1
                parts += self._double_quoted()
            elif here == "$":
                parts.append(self._dollar(quoted=False))
            elif here == "\\":
                escaped = self._text[self._at + 1 : self._at + 2]
                self._at += 2
                if escaped != "\n":
                    parts.append(Part("text", escaped or "\\", quoted=True))
            elif here in "`{}":
                raise ShellSyntaxError(f"unexpected '{here}'")
            else:
                parts.append(Part("text", here, quoted=False))
                self._at += 1
        return tuple(parts)

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise ShellSyntaxError(f"no closing quote {quote}")
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        return inside

    def _double_quoted(self) -> Iterator[Part]:
        # Empty quotes are a word too.
        yield Part("text", "", quoted=True)
        while self._at < len(self._text):
            here = self._text[self._at]
            if here == '"':
                self._at += 1
                return
            if here == "$":
                yield self._dollar(quoted=True)
            elif here == "`":
                raise ShellSyntaxError("unexpected '`'")
            else:
                following = self._text[self._at + 1 : self._at + 2]
                escapes = here == "\\" and following and following in '$`"\\\n'
                text = following if escapes else here
                self._at += 2 if escapes else 1
                yield Part("text", "" if escapes and text == "\n" else text, quoted=True)
        raise ShellSyntaxError('no closing quote "')

    def _dollar(self, quoted: bool) -> Part:
        self._at += 1
        rest = self._text[self._at :]
        if rest.startswith("(") and not rest.startswith("(("):
            return Part("command", "", quoted, self._parse(self._in_parentheses()))
        name = _NAME.match(rest)
        if name:
            self._at += name.end()
            return Part("variable", name[0], quoted)
        if rest[:1] in ("?", "$"):
            self._at += 1
            return Part("variable", rest[0], quoted)
        braced = re.match(r"\{([A-Za-z_][A-Za-z0-9_]*|[?$])\}", rest)
        if braced:
            self._at += braced.end()
            return Part("variable", braced[1], quoted)
        if not rest or rest[0] in " \t\n\"'/.,:;|&<>)%=^+\\":
            return Part("text", "$", quoted)
        raise ShellSyntaxError(f"unexpected '${rest[:1]}'")

    def _in_parentheses(self) -> str:
        """The text in ``$(...)``; it ends at the first ) that is no part of a token."""
        start = self._at + 1
        inner = Tokenizer(self._text, self._parse)
        inner._at = start
        while True:
            # As in ``tokens``: so a ) in quotes isn't the end.
            while inner._at < len(self._text) and self._text[inner._at] in " \t":
                inner._at += 1
            if inner._at >= len(self._text):
                raise ShellSyntaxError("no closing )")
            if self._text[inner._at] == ")":
                self._at = inner._at + 1
                return self._text[start : inner._at]
            if not inner._operator():
                inner._word()
