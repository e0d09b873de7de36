"""Files and links that the host sends over ``sync:`` (``daemon/file_sync_service.cpp`` of AOSP's adb)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from qnn_sd.virtual_phone.adbd.sync_protocol import DATA_MAX, SyncError, SyncSource, sync_error
from qnn_sd.virtual_phone.adbd.usb_cable import AdbdCrashedError, UsbCable
from qnn_sd.virtual_phone.android.file_system import FileSystem

# secure_mkdirs' mode of the folders that a push creates.
_FOLDER_MODE = 0o775


class PushReceiver:
    """Writes pushed files.

    Args:
        files: the phone's file system.
        cable: can be unplugged during a push.
        source: the host's messages.
    """

    def __init__(self, files: FileSystem, cable: UsbCable, source: SyncSource) -> None:
        self._files, self._cable, self._source = files, cable, source

    def receive(self, path: str, mode: int, dry_run: bool) -> None:
        """Writes what follows a SEND or SND2: a file or a link.

        As with adbd, a failure removes the incomplete file, unless adbd itself crashed.

        Args:
            path: on the phone.
            mode: file type and permissions.
            dry_run: whether the data is only read.

        Raises:
            SyncError: the data is invalid, or the file system refuses it.
            UsbUnpluggedError: a fault unplugged the cable.
            EOFError: the stream ended.
        """
        try:
            if dry_run:
                mtime = self._receive_data(None)
            elif stat.S_ISLNK(mode):
                mtime = self._receive_link(path)
            else:
                mtime = self._receive_file(path, mode)
        except SyncError:
            # The host reads only after it has sent everything: FAIL would be lost before that.
            self._drain()
            raise
        if not dry_run:
            with suppress(OSError):
                host_path = self._files.resolve(path, follow=False).host_path
                os.utime(host_path, (mtime, mtime), follow_symlinks=False)

    def _prepare_target(self, path: str) -> None:
        """Creates the parent folders of a file or link, and removes what it replaces."""
        parent = os.path.dirname(path) or "/"  # noqa: PTH120 (a path of the phone)
        if not self._files.is_folder(parent):
            try:
                self._files.make_folders(parent, mode=_FOLDER_MODE)
            except OSError as error:
                raise sync_error("secure_mkdirs() failed", error) from error
        host_path = self._files.resolve_writable(path, follow=False).host_path
        if host_path.is_symlink() or host_path.is_file():
            host_path.unlink()

    def _receive_file(self, path: str, mode: int) -> int:
        mode &= 0o777
        # adbd copies the owner's bits to group and others.
        mode |= (mode >> 3) & 0o070
        mode |= (mode >> 3) & 0o007
        try:
            self._prepare_target(path)
            descriptor = self._files.open_to_write(path)
        except OSError as error:
            raise sync_error("couldn't create file", error) from error
        try:
            os.fchmod(descriptor, mode)
            return self._receive_data(descriptor)
        except AdbdCrashedError:
            raise
        except (OSError, EOFError, SyncError):
            with suppress(OSError):
                self._files.resolve_removable(path).host_path.unlink()
            raise
        finally:
            os.close(descriptor)

    def _receive_data(self, descriptor: int | None) -> int:
        """Writes the content up to DONE to a file, or nowhere; returns its time of modification."""
        while True:
            request, value = self._source.read_header()
            if request == b"DONE":
                return value
            if request != b"DATA" or value > DATA_MAX:
                raise SyncError("invalid data message")
            data = self._source.read_exactly(value)
            if descriptor is None:
                continue
            allowed = self._cable.bytes_until_fault(value)
            try:
                self._files.write(descriptor, data[:allowed])
            except OSError as error:
                raise sync_error("write failed", error) from error
            if allowed < value:
                self._cable.unplug()

    def _receive_link(self, path: str) -> int:
        request, length = self._source.read_header()
        if request != b"DATA" or length > DATA_MAX:
            raise SyncError("invalid data message: expected ID_DATA")
        target = self._source.read_exactly(length).partition(b"\0")[0]
        try:
            self._prepare_target(path)
            os.symlink(target, os.fsencode(self._files.resolve_removable(path).host_path))  # noqa: PTH211 (bytes)
        except OSError as error:
            raise sync_error("symlink failed", error) from error
        request, mtime = self._source.read_header()
        if request != b"DONE":
            raise SyncError("invalid data message: expected ID_DONE")
        return mtime

    def _drain(self) -> None:
        with suppress(EOFError):
            while True:
                request, length = self._source.read_header()
                if request != b"DATA" or length > DATA_MAX:
                    return
                self._source.read_exactly(length)
