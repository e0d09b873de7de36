"""Which sets of files are complete on the phone, and which files are missing.

A complete folder has a mark with the sizes and times of its files. A later run compares them, which takes no hashing.
"""

from __future__ import annotations

from collections.abc import Sequence

from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.staging.file_set import COMPLETE_MARK, PARTIAL_SUFFIX, FileSet
from qnn_sd.targets.adb.staging.staging_errors import require_success

# Separates the outputs of commands; no name of a staged file contains it.
_SEPARATOR = "="


def are_complete(phone: Phone, sets: Sequence[FileSet]) -> list[bool]:
    """For each set, whether its folder is marked as complete and unchanged since; one command asks for all.

    Raises:
        DeviceError: the connection was lost.
    """
    commands = (
        f"cat {files.folder}/{COMPLETE_MARK}; echo {_SEPARATOR}; {_stat_command(files)}; echo {_SEPARATOR}"
        for files in sets
    )
    outputs = phone.shell("; ".join(commands)).text.split(_SEPARATOR)
    pairs = zip(outputs[0::2], outputs[1::2], strict=False)
    return [bool(mark.strip()) and mark.strip() == now.strip() for mark, now in pairs]


def missing_files(phone: Phone, files: FileSet) -> list[str]:
    """Names of the files that are missing or different on the phone, by hashes that the phone computes.

    Raises:
        DeviceError: the connection was lost.
    """
    found = hashes_on_phone(phone, files.folder, list(files.files))
    return [name for name, digest in files.hashes.items() if found.get(name) != digest]


def hashes_on_phone(phone: Phone, folder: str, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 in hex of the files that exist in a folder on the phone, by name.

    Raises:
        DeviceError: the connection was lost.
    """
    result = phone.shell(f"cd {folder} && sha256sum {' '.join(names)}")
    pairs = (line.split("  ", 1) for line in result.text.splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def mark_complete(phone: Phone, files: FileSet) -> None:
    """Marks the folder of a set as complete.

    Raises:
        StagingError: the phone can't write.
        DeviceError: the connection was lost.
    """
    temporary = f"{COMPLETE_MARK}{PARTIAL_SUFFIX}"
    command = f"{_stat_command(files)} > {temporary} && mv {temporary} {COMPLETE_MARK}"
    require_success(phone, phone.shell(command), "write")


def mark_used(phone: Phone, sets: Sequence[FileSet]) -> None:
    """Sets the folders' times to now: ``unstage`` goes by them.

    Raises:
        StagingError: the phone can't write.
        DeviceError: the connection was lost.
    """
    require_success(phone, phone.shell("touch " + " ".join(files.folder for files in sets)), "write")


def _stat_command(files: FileSet) -> str:
    """The command that prints size, time of modification and name of each file."""
    return f"cd {files.folder} && stat -c '%s %Y %n' {' '.join(sorted(files.files))}"
