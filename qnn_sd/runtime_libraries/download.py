"""One file over HTTP: resumed where an earlier run was cut, held against every checksum there is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.console import Console
from qnn_sd.errors import DownloadError, IntegrityError
from qnn_sd.output_files import output_error
from qnn_sd.runtime_libraries.repository import Repository, refused, unreachable, without_secrets

# A piece that is cut is lost: small ones lose little.
_PIECE = 1 << 14
# The largest artifact has 66 MB: a repository that sends without end fills no disk.
LARGEST_BYTES = 1 << 30


@dataclass(frozen=True)
class Expected:
    """The hash that a file is held to.

    Attributes:
        sha256: in hex.
        by: who says so, for people.
    """

    sha256: str
    by: str


@dataclass(frozen=True)
class Downloaded:
    """A file that was just downloaded.

    Attributes:
        sha256: in hex.
        checked: the algorithms by which the repository's own checksums agreed.
    """

    sha256: str
    checked: tuple[str, ...]


def download(repository: Repository, url: str, target: Path, expected: Expected | None, console: Console) -> Downloaded:
    """Brings a file to ``target``, whole and checked, by way of ``<target>.part``.

    Args:
        repository: where the file is.
        url: of the file.
        target: an existing file there is replaced, and only by one that passed all checks.
        expected: the hash to hold it to, or None.
        console: gets the progress.

    Raises:
        DownloadError: it can't be had. What came stays, and the next call goes on there.
        IntegrityError: it has another hash than expected, or than its repository says.
        OutputError: it can't be written.
    """
    part = target.with_name(f"{target.name}.part")
    checksums = repository.checksums(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if expected is None and not checksums:
            # Nothing would tell two halves of different files from one file.
            part.unlink(missing_ok=True)
        _complete(repository, url, part, console)
        digests = _digests(part, {"sha256", *checksums})
        _hold(digests, checksums, expected, url, part)
        part.replace(target)
    except OSError as error:
        raise output_error(target, error) from error
    return Downloaded(digests["sha256"], tuple(checksums))


def _complete(repository: Repository, url: str, part: Path, console: Console) -> None:
    """Asks for what is missing of a file and appends it."""
    have = part.stat().st_size if part.exists() else 0
    # Packed on the way, a file's pieces wouldn't fit together.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with closing(repository.get(url, headers)) as answer:
        if answer.status_code == 416:
            # Nothing is there from that byte on: all came already, or it was another file.
            if _total_of_range(answer) != have:
                part.unlink()
                _complete(repository, url, part, console)
            return
        if answer.status_code not in (200, 206):
            raise refused(url, answer.status_code)
        if answer.status_code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise DownloadError(
                f"{without_secrets(url)} can't be resumed",
                why=f"Asked for what follows byte {have:,}, the repository sent another piece.",
                hint=f"Delete {part} and run the command again, or name another --repository.",
            )
        if answer.status_code == 200:
            have = 0
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        _append(answer, url, part, have, total, console)


def _append(answer: Any, url: str, part: Path, have: int, total: int | None, console: Console) -> None:
    if total is not None and total > LARGEST_BYTES:
        raise _too_large(url)
    with part.open("r+b" if have else "wb") as file, console.transfer(part.stem, total, have) as transfer:
        file.seek(have)
        for piece in _pieces(answer, url):
            if have + transfer.moved + len(piece) > LARGEST_BYTES:
                raise _too_large(url)
            file.write(piece)
            transfer.advance(len(piece))
        if total is not None and have + transfer.moved != total:
            raise _cut(url, f"{have + transfer.moved:,} of {total:,} bytes came.")


def _pieces(answer: Any, url: str) -> Iterator[bytes]:
    """An answer's body; the network's failures are told apart from the disk's."""
    pieces = answer.iter_content(_PIECE)
    while True:
        try:
            piece = next(pieces, None)
        except OSError as error:
            raise _cut(url, unreachable(url, error).why) from error
        if piece is None:
            return
        yield piece


def _total_of_range(answer: Any) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            for digest in digests.values():
                digest.update(piece)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _hold(
    digests: Mapping[str, str], checksums: Mapping[str, str], expected: Expected | None, url: str, part: Path
) -> None:
    """Lets a file pass, or throws it away."""
    named = [("the repository's own checksum", name, digest) for name, digest in checksums.items()]
    if expected is not None:
        named.insert(0, (expected.by, "sha256", expected.sha256))
    for owner, name, digest in named:
        if digests[name] != digest:
            part.unlink()
            raise IntegrityError(
                f"{without_secrets(url)} is not the file that was expected",
                why=f"Its {name} is {digests[name]}; {owner} is {digest}.",
                hint="Run the command again; if that doesn't help, name another repository with --repository.",
            )


def _cut(url: str, why: str) -> DownloadError:
    return DownloadError(
        f"The download of {without_secrets(url)} was cut",
        why=why,
        hint="Run the command again: it goes on where this one stopped.",
    )


def _too_large(url: str) -> IntegrityError:
    return IntegrityError(
        f"{without_secrets(url)} is too large",
        why=f"No artifact of the runtime has more than {LARGEST_BYTES >> 20:,} MiB.",
        hint="Name another repository with --repository.",
    )
