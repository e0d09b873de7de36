"""Joins the pieces of files on the phone, and checks the whole, while the next pieces are on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client.adb import Phone
from qnn_sd.targets.adb.staging.sync_sender import SyncSender, refused

# Ends the name of a file that isn't whole, or not yet known to be.
PARTIAL_SUFFIX = ".part"


class PieceAssembler:
    """Sends files in pieces and makes them whole; leaving the block without an error waits until all are.

    Args:
        phone: where they go.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._sender = SyncSender(phone)
        self._shell = phone.start("")
        # One thread: what is done on the phone is done in order.
        self._work = ThreadPoolExecutor(1, "joiner")
        self._undone: list[Future[Any]] = []
        self._pieces = 0
        self._last_piece: str | None = None
        # What is to be done once a piece is there.
        self._joined_by: dict[str, str] = {}
        self._whole_with: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> PieceAssembler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle(wait=True)
        finally:
            # Ends what runs on the phone, and with it the thread that waits for it.
            self._shell.close()
            self._work.shutdown(cancel_futures=True)
            self._sender.close()

    def begin(self, target: str, start: int) -> None:
        """A file is about to come.

        Args:
            target: its path on the phone, in a folder that is there.
            start: bytes of its part that are there and right; 0 for none.
        """
        if not start:
            self._later(self._require, f"true > {target}{PARTIAL_SUFFIX}")
        self._last_piece = None

    def send(self, target: str, data: Iterable[memoryview]) -> None:
        """Sends the file's next piece.

        Raises:
            DeviceError: the phone went away.
            StagingError: it can't write.
        """
        piece = self._last_piece = f"{target}{PARTIAL_SUFFIX}.{self._pieces}"
        self._pieces += 1
        self._joined_by[piece] = f"cat {piece} >> {target}{PARTIAL_SUFFIX} && rm {piece}"
        self._sender.send(piece, data)
        self._settle()

    def end(self, target: str, digest: str) -> None:
        """The file has been sent: once it is joined, its hash is compared, and it gets its name.

        Args:
            target: its path on the phone.
            digest: its SHA-256, hex.
        """
        piece = self._last_piece
        if piece is None or piece not in self._joined_by:
            # None came, or it is there already: on a fast phone a small file is.
            self._later(self._finish, target, digest)
        else:
            self._whole_with[piece] = (target, digest)

    def _settle(self, wait: bool = False) -> None:
        """Raises what went wrong on the phone so far."""
        self._arrive(wait)
        while self._undone and (wait or self._undone[0].done()):
            self._undone.pop(0).result()

    def _arrive(self, wait: bool) -> None:
        for piece in self._sender.arrived(wait):
            self._later(self._require, self._joined_by.pop(piece))
            if piece in self._whole_with:
                self._later(self._finish, *self._whole_with.pop(piece))

    def _later(self, act: Callable[..., object], *arguments: str) -> None:
        self._undone.append(self._work.submit(act, *arguments))

    def _finish(self, target: str, digest: str) -> None:
        part = f"{target}{PARTIAL_SUFFIX}"
        found = self._require(f"sha256sum {part}").split(" ")[0]
        if found != digest:
            self._require(f"rm -f {part}")
            raise StagingError(
                f"{target} arrived damaged on {self._phone.serial}",
                why=f"Its hash there is {found}, here {digest}.",
                hint="Try again; with another cable if it happens twice.",
            )
        # The DSP's process reads the libraries as another user.
        self._require(f"chmod 644 {part} && mv {part} {target}")

    def _require(self, command: str) -> str:
        """Runs a command in the one shell; returns what it printed."""
        self._shell.write(f"{command}; echo =$?\n".encode())
        lines = []
        while not (line := self._shell.line()).startswith("="):
            lines.append(line)
        if line != "=0":
            said = self._shell.log().strip().splitlines()
            why = said[-1] if said else f"{command!r} ended with exit code {line[1:]}."
            raise refused(self._phone, "write what was sent", why)
        return "\n".join(lines)
