"""Files on the phone: missing ones are sent, assembled and verified there; unused ones are removed.

A set of files that belong together is a folder named after their hashes, so versions stand side by side, and a complete
set is never sent again. A file is sent in pieces, since adbd discards a file whose transfer was interrupted. The phone
appends them to ``<name>.part`` while the next ones are sent; the part gets its name once its hash is right. A part that
an interrupted run left is continued if its hash is right.
"""

from qnn_sd.targets.adb.staging.complete_sets import missing_files
from qnn_sd.targets.adb.staging.file_set import STAGING_FOLDER, FileSet
from qnn_sd.targets.adb.staging.piece_assembler import PieceAssembler
from qnn_sd.targets.adb.staging.removal import unstage
from qnn_sd.targets.adb.staging.sync_sender import SyncSender
from qnn_sd.targets.adb.staging.transfer import MIN_FREE_BYTES, PIECE_BYTES, StagingResult, read_chunks, stage

__all__ = [
    "MIN_FREE_BYTES",
    "PIECE_BYTES",
    "STAGING_FOLDER",
    "FileSet",
    "PieceAssembler",
    "StagingResult",
    "SyncSender",
    "missing_files",
    "read_chunks",
    "stage",
    "unstage",
]
