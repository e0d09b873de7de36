"""Files that belong together, and their folder on the phone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qnn_sd.artifact import sha256_of_file
from qnn_sd.device_properties import LOCAL_TMP
from qnn_sd.errors import StagingError

# The folder on the phone that has everything of qnn-sd.
STAGING_FOLDER = f"{LOCAL_TMP}/qnn-sd"
# Suffix of a file that isn't complete, or isn't verified yet.
PARTIAL_SUFFIX = ".part"
# The file that marks a complete folder.
COMPLETE_MARK = "staged"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class FileSet:
    """Files that are staged in one folder on the phone.

    Attributes:
        kind: what they are, such as ``unet`` or ``libs``; the parent folder's name.
        files: local paths by their names on the phone.

    Raises:
        StagingError: a name could lead out of the folder, or has a meaning for the shell.
    """

    kind: str
    files: Mapping[str, Path]

    def __post_init__(self) -> None:
        for name in (self.kind, *self.files):
            if not _NAME.fullmatch(name) or name.endswith(PARTIAL_SUFFIX) or name == COMPLETE_MARK:
                raise StagingError(
                    f"{name!r} can't be the name of a staged file",
                    why="A name has only letters, digits, dots, dashes and underscores, and stays in its folder.",
                    hint="Create the bundle again with qnn-sd compile.",
                )

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file in hex, by name."""
        return {name: sha256_of_file(path) for name, path in sorted(self.files.items())}

    @property
    def folder(self) -> str:
        """Their folder on the phone, named after their hashes."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in self.hashes.items())
        return f"{STAGING_FOLDER}/{self.kind}/{hashlib.sha256(listing.encode()).hexdigest()[:16]}"

    def size(self, name: str) -> int:
        """Size of a file, bytes."""
        return self.files[name].stat().st_size
