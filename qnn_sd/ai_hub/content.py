"""What is uploaded: a file, or a clean folder; its hash and its size."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from qnn_sd.artifact import sha256_of_file, sha256_of_json, unread_bytes
from qnn_sd.console import Console
from qnn_sd.errors import HubServiceError
from qnn_sd.in_words import gigabytes

# AI Hub's own limit, as its maintainers name it (AI Hub Models, issue 267).
MOST_BYTES = 10_000_000_000


def files_of(source: Path) -> list[Path]:
    """The files of a source, in order of their names; a file is its own only one."""
    return sorted(each for each in source.iterdir() if each.is_file()) if source.is_dir() else [source]


def size_of(source: Path) -> int:
    """Bytes of a source."""
    return sum(each.stat().st_size for each in files_of(source))


def sha256_of(source: Path, title: str, console: Console) -> str:
    """Hash of a source's content: of a file its own, of a folder that of its files' names and hashes.

    Args:
        source: a file or folder.
        title: what it is, for the bar.
        console: shows the progress.
    """
    files = files_of(source)
    with console.reading(f"reading {title}", sum(map(unread_bytes, files))) as advance:
        hashes = {each.name: sha256_of_file(each, advance) for each in files}
    return sha256_of_json(hashes) if source.is_dir() else next(iter(hashes.values()))


def refuse_too_large(sources: Mapping[str, Path]) -> None:
    """Measures what is to be uploaded, before any of it is.

    Args:
        sources: by their labels.

    Raises:
        HubServiceError: one is larger than AI Hub takes.
    """
    sizes = {label: size_of(source) for label, source in sources.items()}
    label = max(sizes, key=lambda each: sizes[each], default=None)
    if label is not None and sizes[label] > MOST_BYTES:
        raise HubServiceError(
            f"{label} is too large for AI Hub: {gigabytes(sizes[label])}",
            why=f"AI Hub takes {gigabytes(MOST_BYTES)} a network; {sources[label]} is the largest of {len(sizes)}.",
            hint="Build a smaller size, or fewer sizes in one binary (--size); a context binary is smaller than ONNX.",
        )


def zipped(folder: Path, into: Path) -> Path:
    """A folder as AI Hub's client sends it: a zip with the folder as its base.

    Args:
        folder: of files alone.
        into: existing folder that gets the zip.
    """
    target = into / f"{folder.name}.zip"
    # Quantized weights hardly shrink: time is saved, and the same folder gives the same bytes.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        base = zipfile.ZipInfo(f"{folder.name}/")
        base.external_attr = 0o40755 << 16 | 0x10
        archive.writestr(base, b"")
        for each in files_of(folder):
            entry = zipfile.ZipInfo(f"{folder.name}/{each.name}")
            entry.external_attr = 0o100644 << 16
            with each.open("rb") as source, archive.open(entry, "w", force_zip64=True) as member:
                while piece := source.read(1 << 22):
                    member.write(piece)
    return target
