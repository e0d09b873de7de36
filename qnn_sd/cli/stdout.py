"""The command's own stdout: native libraries can't print into it, and what can't be written is a clean failure.

A reader that is gone (``| head -1``, a pager that was closed) is no failure: the command does what it was told to, and
prints the rest to nobody.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from qnn_sd.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class StdoutFile(io.FileIO):
    """A descriptor to write to, whose failures are the command's own.

    They are no ``OSError``, which click and rich would take for theirs. After one, and after the reader is gone,
    everything is dropped: Python would write what is buffered once more at its end, and fail loudly.
    """

    _dropping = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes bytes.

        Raises:
            OutputError: it is full or closed.
        """
        if self._dropping:
            return memoryview(data).nbytes
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            self._dropping = True
            return memoryview(data).nbytes
        except OSError as error:
            self._dropping = True
            raise OutputError(
                "Can't write to standard output",
                why=error.strerror or str(error),
                hint="Free space where it goes, or send it elsewhere.",
            ) from error


def keep_stdout(debug: bool) -> None:
    """Leaves stdout to Python alone: native libraries print remarks of their own on descriptor 1.

    Args:
        debug: whether those go to stderr; else they go nowhere. The descriptors are open
            (``open_standard_descriptors``).
    """
    encoding = "utf-8" if sys.stdout is None else sys.stdout.encoding
    if sys.stdout is not None:
        sys.stdout.flush()
    ours = os.dup(1)
    theirs = os.dup(2) if debug else os.open(os.devnull, os.O_WRONLY)
    os.dup2(theirs, 1)
    os.close(theirs)
    file = io.BufferedWriter(StdoutFile(ours, "wb"))
    sys.stdout = io.TextIOWrapper(file, encoding=encoding, errors="replace", line_buffering=os.isatty(ours))


def open_standard_descriptors() -> None:
    """A descriptor that the parent closed would be given to the next file that is opened, and printed into."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number; stdout's is one that can't be written to
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
