"""Appends the pieces of files on the phone and verifies the complete file, while the next pieces are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.staging.file_set import PARTIAL_SUFFIX
from qnn_sd.targets.adb.staging.staging_errors import phone_refused
from qnn_sd.targets.adb.staging.sync_sender import SyncSender

# Begins the line with a command's exit code; no output of these commands begins so.
_EXIT_CODE = "="


class PieceAssembler:
    """Sends files in pieces and assembles them; use it as a context manager, which waits until all are complete.

    Args:
        phone: where they are sent.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._sender = SyncSender(phone)
        self._shell = phone.start("")
        # One thread, so that the commands run in order.
        self._executor = ThreadPoolExecutor(1, "piece assembler")
        self._pending: list[Future[Any]] = []
        self._piece_count = 0
        self._last_piece: str | None = None
        # What follows the arrival of a piece: the command that appends it, and of a last piece the file and its hash.
        self._append_commands: dict[str, str] = {}
        self._complete_with: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> PieceAssembler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._check_progress(wait=True)
        finally:
            # Ends the shell on the phone, and with it the thread that waits for it.
            self._shell.close()
            self._executor.shutdown(cancel_futures=True)
            self._sender.close()

    def begin(self, target: str, start: int) -> None:
        """Begins a file.

        Args:
            target: its path on the phone, in an existing folder.
            start: bytes of its part that exist and are right; 0 for none.
        """
        if not start:
            self._submit(self._run, f"true > {target}{PARTIAL_SUFFIX}")
        self._last_piece = None

    def send(self, target: str, data: Iterable[memoryview]) -> None:
        """Sends the file's next piece.

        Raises:
            DeviceError: the connection was lost.
            StagingError: the phone can't write.
        """
        piece = self._last_piece = f"{target}{PARTIAL_SUFFIX}.{self._piece_count}"
        self._piece_count += 1
        self._append_commands[piece] = f"cat {piece} >> {target}{PARTIAL_SUFFIX} && rm {piece}"
        self._sender.send(piece, data)
        self._check_progress()

    def end(self, target: str, digest: str) -> None:
        """Ends a file: after its last piece it is verified and renamed.

        Args:
            target: its path on the phone.
            digest: its SHA-256, hex.
        """
        piece = self._last_piece
        if piece is None or piece not in self._append_commands:
            # There was no piece, or the last one has arrived already.
            self._submit(self._complete, target, digest)
        else:
            self._complete_with[piece] = (target, digest)

    def _check_progress(self, wait: bool = False) -> None:
        """Submits the work for pieces that have arrived, and raises the errors of finished work."""
        for piece in self._sender.acknowledged(wait):
            self._submit(self._run, self._append_commands.pop(piece))
            if piece in self._complete_with:
                self._submit(self._complete, *self._complete_with.pop(piece))
        while self._pending and (wait or self._pending[0].done()):
            self._pending.pop(0).result()

    def _submit(self, function: Callable[..., object], *arguments: str) -> None:
        self._pending.append(self._executor.submit(function, *arguments))

    def _complete(self, target: str, digest: str) -> None:
        part = f"{target}{PARTIAL_SUFFIX}"
        found = self._run(f"sha256sum {part}").split(" ")[0]
        if found != digest:
            self._run(f"rm -f {part}")
            raise StagingError(
                f"{target} arrived damaged on {self._phone.serial}",
                why=f"Its SHA-256 there is {found}, here {digest}.",
                hint="Try again; with another cable if it happens twice.",
            )
        # The DSP's process reads the libraries as another user.
        self._run(f"chmod 644 {part} && mv {part} {target}")

    def _run(self, command: str) -> str:
        """Runs a command in the shell; returns its output."""
        self._shell.write(f"{command}; echo {_EXIT_CODE}$?\n".encode())
        lines = []
        while not (line := self._shell.line()).startswith(_EXIT_CODE):
            lines.append(line)
        if line != f"{_EXIT_CODE}0":
            errors = self._shell.log().strip().splitlines()
            why = errors[-1] if errors else f"{command!r} ended with exit code {line[1:]}."
            raise phone_refused(self._phone, "write what was sent", why)
        return "\n".join(lines)
