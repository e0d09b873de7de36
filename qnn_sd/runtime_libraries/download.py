"""Downloads a file over HTTP: resumes it, and checks it against the known hash and the repository's checksums.

A file of which neither is known is resumed by its entity tag (RFC 9110, ``If-Range``): where the repository has
another file by then, it sends that from its beginning.
"""

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
from qnn_sd.runtime_libraries.repository import Repository, connection_error, without_credentials

# An interrupted chunk is lost: small ones lose little.
_CHUNK_BYTES = 1 << 14
# The largest artifact of the runtime has 66 MB. A repository that never stops sending doesn't fill the disk.
MAX_BYTES = 1 << 30
# A weak entity tag (W/"…") doesn't promise the same bytes.
_STRONG_TAG = re.compile(r'"[^"\r\n]*"')


@dataclass(frozen=True)
class ExpectedHash:
    """The known hash of a file.

    Attributes:
        sha256: in hex.
        owner: where it is from, for messages.
    """

    sha256: str
    owner: str


@dataclass(frozen=True)
class DownloadResult:
    """A downloaded file.

    Attributes:
        sha256: in hex.
        repository_checksums: the algorithms of the repository's own checksums, which agreed.
    """

    sha256: str
    repository_checksums: tuple[str, ...]


def download(
    repository: Repository,
    url: str,
    target: Path,
    expected: ExpectedHash | None,
    console: Console,
    most_bytes: int = MAX_BYTES,
) -> DownloadResult:
    """Downloads a file to ``<target>.part``, checks it, and renames it to ``target``.

    Args:
        repository: the repository of the file.
        url: of the file.
        target: replaced if it exists, by a file that passed all checks.
        expected: its known hash, or None.
        console: shows the progress.
        most_bytes: a larger file is refused.

    Raises:
        DownloadError: it can't be downloaded. The part stays, and the next call resumes.
        IntegrityError: it has another hash than the known one, or than the repository's checksums, or is too large.
        OutputError: it can't be written.
    """
    part = target.with_name(f"{target.name}.part")
    checksums = repository.checksums(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if expected is None and not checksums and not _tag_file(part).is_file():
            # Without a hash, a part continued from a different file would go unnoticed.
            part.unlink(missing_ok=True)
        _complete(repository, url, part, console, most_bytes)
        digests = _digests(part, {"sha256", *checksums})
        _check_hashes(digests, checksums, expected, url, part)
        part.replace(target)
        _tag_file(part).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(target, error) from error
    return DownloadResult(digests["sha256"], tuple(checksums))


def _tag_file(part: Path) -> Path:
    """Where the entity tag of a file is kept whose part is there."""
    return part.with_name(f"{part.name}.etag")


def _complete(repository: Repository, url: str, part: Path, console: Console, most_bytes: int) -> None:
    """Requests the missing bytes of a file and appends them."""
    present = part.stat().st_size if part.exists() else 0
    # With a content encoding, the ranges of a file couldn't be joined.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={present}-"} if present else {})
    if present and _tag_file(part).is_file():
        headers["If-Range"] = _tag_file(part).read_text("ascii")
    with closing(repository.get(url, headers)) as answer:
        if answer.status_code == 416:
            # There is nothing from that byte on: the part is complete, or it is of another file.
            if _total_of_range(answer) != present:
                part.unlink()
                _complete(repository, url, part, console, most_bytes)
            return
        if answer.status_code not in (200, 206):
            raise repository.refusal(url, answer.status_code)
        if answer.status_code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {present}-"):
            raise DownloadError(
                f"{without_credentials(url)} can't be resumed",
                why=f"Asked for the bytes from {present:,} on, the repository sent others.",
                hint=f"Delete {part} and run the command again, or name another --repository.",
            )
        if answer.status_code == 200:
            present = 0
            _note_tag(answer, part)
        length = answer.headers.get("Content-Length", "")
        total = present + int(length) if length.isdecimal() else None
        _append(answer, url, part, present, total, console, most_bytes)


def _note_tag(answer: Any, part: Path) -> None:
    tag = answer.headers.get("ETag", "")
    if _STRONG_TAG.fullmatch(tag) and tag.isascii():
        _tag_file(part).write_text(tag, "ascii")
    else:
        _tag_file(part).unlink(missing_ok=True)


def _append(
    answer: Any, url: str, part: Path, present: int, total: int | None, console: Console, most_bytes: int
) -> None:
    if total is not None and total > most_bytes:
        raise _too_large(url, most_bytes)
    with part.open("r+b" if present else "wb") as file, console.transfer(part.stem, total, present) as transfer:
        file.seek(present)
        for chunk in _body_chunks(answer, url):
            if present + transfer.moved + len(chunk) > most_bytes:
                raise _too_large(url, most_bytes)
            file.write(chunk)
            transfer.advance(len(chunk))
        if total is not None and present + transfer.moved != total:
            raise _interrupted(url, f"{present + transfer.moved:,} of {total:,} bytes arrived.")


def _body_chunks(answer: Any, url: str) -> Iterator[bytes]:
    """The body of an answer; a failure of the network becomes a DownloadError, unlike one of the disk."""
    chunks = answer.iter_content(_CHUNK_BYTES)
    while True:
        try:
            chunk = next(chunks, None)
        except OSError as error:
            raise _interrupted(url, connection_error(url, error).why) from error
        if chunk is None:
            return
        yield chunk


def _total_of_range(answer: Any) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _check_hashes(
    digests: Mapping[str, str], checksums: Mapping[str, str], expected: ExpectedHash | None, url: str, part: Path
) -> None:
    """Compares the hashes of a downloaded file; deletes the file if one differs."""
    known = [("the repository's own checksum", name, digest) for name, digest in checksums.items()]
    if expected is not None:
        known.insert(0, (expected.owner, "sha256", expected.sha256))
    for owner, name, digest in known:
        if digests[name] != digest:
            part.unlink()
            raise IntegrityError(
                f"{without_credentials(url)} is not the file that was expected",
                why=f"Its {name} is {digests[name]}; {owner} is {digest}.",
                hint="Run the command again; if that doesn't help, name another repository with --repository.",
            )


def _interrupted(url: str, why: str) -> DownloadError:
    return DownloadError(
        f"The download of {without_credentials(url)} was interrupted",
        why=why,
        hint="Run the command again: it resumes where this one stopped.",
    )


def _too_large(url: str, most_bytes: int) -> IntegrityError:
    return IntegrityError(
        f"{without_credentials(url)} is too large",
        why=f"No file of its kind has more than {most_bytes >> 20:,} MiB.",
        hint="Name another repository with --repository.",
    )
