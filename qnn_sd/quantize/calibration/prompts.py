"""Files of prompts: UTF-8, one a line, ``#`` for comments."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from qnn_sd.errors import QuantizeError

# A hundred thousand long prompts; what is larger is a checkpoint or an image, given by mistake.
_LARGEST_BYTES = 16 * 2**20
_HINT = "Give a text file in UTF-8 with one prompt a line; lines that begin with # are left out."
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file, in its order, without the space around them.

    Raises:
        QuantizeError: it can't be read, is no text, isn't UTF-8 (the line is named), or has no prompt.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            why = f"It has {path.stat().st_size:,} bytes, where {_LARGEST_BYTES:,} are the most."
            raise QuantizeError(f"{path} is no file of prompts", why=why, hint=_HINT)
        content = path.read_bytes()
    except OSError as error:
        raise QuantizeError(f"The prompts in {path} can't be read", why=error.strerror or "", hint=_HINT) from error
    # Not splitlines(): that would cut prompts at rare signs that editors don't show as a line's end.
    lines = [line.strip() for line in _text(path, content).split("\n")]
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise QuantizeError(f"{path} has no prompts", why="It is empty, or all comments.", hint=_HINT)
    return prompts


def _text(path: Path, content: bytes) -> str:
    if content.startswith(_UTF_16):
        raise QuantizeError(f"{path} is not UTF-8", why="It begins as UTF-16 does.", hint=_HINT)
    try:
        # Some editors put UTF-8's own mark in front.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        why = f"Line {line} has the byte {content[error.start]:#04x}: {error.reason}."
        raise QuantizeError(f"{path} is not UTF-8", why=why, hint=_HINT) from error
    for number, spelled in enumerate(text.split("\n"), start=1):
        for sign in spelled.rstrip("\r"):
            if unicodedata.category(sign) == "Cc" and sign != "\t":
                why = f"Line {number} has the control character U+{ord(sign):04X}."
                raise QuantizeError(f"{path} is no text", why=why, hint=_HINT)
    return text
