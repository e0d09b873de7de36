"""Commands that print and read text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from qnn_sd.virtual_phone.commands.call import Call, CommandError

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "'": "'"}


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)


def cat(call: Call) -> None:
    """``cat [FILE...]``."""
    _, paths = call.options("u")

    def show(path: str) -> None:
        for chunk in call.read_chunks(path):
            call.write(chunk)

    call.for_each(paths or ["-"], show)


def echo(call: Call) -> None:
    """``echo [-neE] [WORD...]``."""
    words, end, escapes = list(call.arguments), "\n", False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        option = words.pop(0)
        end = "" if "n" in option else end
        escapes = "e" in option or (escapes and "E" not in option)
    line = " ".join(words)
    call.write((_unescaped(line) if escapes else line) + end)


_DIRECTIVE = re.compile(r"%(%|-?\d*[sd])")


def printf(call: Call) -> None:
    r"""``printf FORMAT [WORD...]`` with %s, %d, widths and backslashes; the format is repeated while words remain."""
    if not call.arguments:
        raise CommandError("needs 1 argument")
    words = call.arguments[1:]
    pieces = _DIRECTIVE.split(_unescaped(call.arguments[0]))
    if any("%" in plain for plain in pieces[::2]):
        raise CommandError(f"bad format {call.arguments[0]!r}")
    word_count = sum(directive != "%" for directive in pieces[1::2])
    while True:
        line = ""
        for index, piece in enumerate(pieces):
            if index % 2 == 0 or piece == "%":
                line += piece
                continue
            word = words.pop(0) if words else ""
            if piece.endswith("d"):
                if not re.fullmatch(r"-?\d*", word):
                    raise CommandError(f"bad number {word!r}")
                line += f"%{piece}" % int(word or "0")
            else:
                line += f"%{piece}" % word
        call.write(line)
        if not (words and word_count):
            return


def _read_lines(call: Call, path: str) -> Iterator[bytes]:
    rest = b""
    for chunk in call.read_chunks(path):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _parse_count(unit: str, text: str) -> int:
    if not text.isdecimal():
        raise CommandError(f"-{unit}: not a number: {text}")
    return int(text)


def head(call: Call) -> None:
    """``head [-n LINES | -c BYTES] [FILE...]``."""
    options, paths = call.options("n:c:")

    def show(path: str) -> None:
        if "c" in options:
            remaining = _parse_count("c", options["c"])
            for chunk in call.read_chunks(path):
                call.write(chunk[:remaining])
                remaining -= len(chunk)
                if remaining <= 0:
                    return
            return
        remaining = _parse_count("n", options.get("n", "10"))
        for line in _read_lines(call, path) if remaining else ():
            call.write(line)
            remaining -= 1
            if remaining == 0:
                return

    call.for_each(paths or ["-"], show)


def tail(call: Call) -> None:
    """``tail [-n LINES] [FILE...]``."""
    options, paths = call.options("n:")

    def show(path: str) -> None:
        for line in deque(_read_lines(call, path), _parse_count("n", options.get("n", "10"))):
            call.write(line)

    call.for_each(paths or ["-"], show)


def grep(call: Call) -> int:
    """``grep [-cEFilqvx] PATTERN [FILE...]``; PATTERN has Python's syntax, which agrees with grep's in common cases."""
    options, rest = call.options("cEFilqvx")
    if not rest:
        raise CommandError("no REGEX", status=2)
    pattern, paths = rest[0], rest[1:] or ["-"]
    if "F" in options:
        pattern = re.escape(pattern)
    try:
        expression = re.compile(pattern.encode("utf-8", "surrogateescape"), re.IGNORECASE if "i" in options else 0)
    except re.error as error:
        raise CommandError(f"bad REGEX '{pattern}': {error}", status=2) from error
    find = expression.fullmatch if "x" in options else expression.search
    match_count = 0

    def search(path: str) -> None:
        nonlocal match_count
        prefix = f"{path}:".encode("utf-8", "surrogateescape") if len(paths) > 1 else b""
        count = 0
        for line in _read_lines(call, path):
            content = line.rstrip(b"\n")
            if bool(find(content)) == ("v" in options):
                continue
            count += 1
            if "q" in options or "l" in options:
                break
            if "c" not in options:
                call.write(prefix + content + b"\n")
        match_count += count
        if "c" in options:
            call.write(prefix + f"{count}\n".encode())
        if "l" in options and count:
            call.write(f"{path}\n")

    call.for_each(paths, search)
    return 2 if call.status else int(not match_count)


def wc(call: Call) -> None:
    """``wc [-clw] [FILE...]``: lines, words, bytes."""
    options, paths = call.options("clw")
    shown = [unit for unit in "lwc" if unit in options] or ["l", "w", "c"]
    total = dict.fromkeys("lwc", 0)

    def show(counts: dict[str, int], name: str) -> None:
        # toybox pads only where there is more than one column.
        width = 7 if len(shown) > 1 else 0
        columns = " ".join(f"{counts[unit]:>{width}}" for unit in shown)
        call.write(f"{columns}{f' {name}' if name != '-' else ''}\n")

    def count(path: str) -> None:
        counts = dict.fromkeys("lwc", 0)
        for line in _read_lines(call, path):
            counts["l"] += line.endswith(b"\n")
            counts["w"] += len(line.split())
            counts["c"] += len(line)
        for unit, number in counts.items():
            total[unit] += number
        show(counts, path)

    call.for_each(paths or ["-"], count)
    if len(paths) > 1:
        show(total, "total")
