"""The virtual phone: an adb device on loopback."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from qnn_sd.config import DeviceProfile
from qnn_sd.errors import VirtualPhoneError
from qnn_sd.targets.adb.virtual_phone.abstract_sockets import AbstractSockets, SentMeter
from qnn_sd.targets.adb.virtual_phone.cable import Cable
from qnn_sd.targets.adb.virtual_phone.commands.call import Machine
from qnn_sd.targets.adb.virtual_phone.desktop_java import WORKER_JAR, DesktopJava
from qnn_sd.targets.adb.virtual_phone.faults import Faults
from qnn_sd.targets.adb.virtual_phone.files import PhoneFiles
from qnn_sd.targets.adb.virtual_phone.keys import keys_of_user
from qnn_sd.targets.adb.virtual_phone.processes import Processes
from qnn_sd.targets.adb.virtual_phone.properties import Battery, banner, make_tree, properties_of
from qnn_sd.targets.adb.virtual_phone.services import FEATURES, Services
from qnn_sd.targets.adb.virtual_phone.sync_service import SyncService
from qnn_sd.targets.adb.virtual_phone.threads import Threads
from qnn_sd.targets.adb.virtual_phone.transport import Transport

LOOPBACK = "127.0.0.1"
DEFAULT_SERIAL = "qnnsd0000001"
_LOCK = "virtual-phone.lock"


class VirtualPhone:
    """A phone that adb can't tell from one on the network; use it as a context.

    Args:
        profile: of its SoC.
        root: a folder of its own, empty or left by another virtual phone; made if it isn't there.
        port: on loopback; 0 for any free one.
        serial: its ``ro.serialno``. adb itself names it by ``address``.
        faults: what it does wrong.
        battery: the battery's state.
        worker_jar: the classes that ``app_process`` runs.
        say: told what its owner should know, a line at a time.

    Attributes:
        files: its file tree; ``files.root`` is the host's folder of ``/``.
        sockets: the folder of socket files that are its abstract sockets.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        root: Path,
        *,
        port: int = 0,
        serial: str = DEFAULT_SERIAL,
        faults: Faults | None = None,
        battery: Battery | None = None,
        worker_jar: Path = WORKER_JAR,
        say: Callable[[str], None] = print,
    ) -> None:
        self._root, self._wanted_port, self._worker_jar, self._say = root.resolve(), port, worker_jar, say
        self._faults = faults or Faults()
        self._battery = battery or Battery()
        self.properties = properties_of(profile, serial, self._faults.properties)
        self.files = PhoneFiles(self._root / "files", self._faults.room)
        self.sockets = Path()
        self._processes, self._threads = Processes(), Threads()
        self._transports: set[Transport] = set()
        self._transports_lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._lock_handle = -1

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None, "a phone has a port once it is started"
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """As ``adb connect`` takes it and ``adb -s`` names it."""
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> VirtualPhone:
        """Starts it.

        Raises:
            VirtualPhoneError: no adb key, no such port, or a root that isn't a phone's.
        """
        keys = [] if self._faults.unauthorized else keys_of_user()
        self._listener = _listen(self._wanted_port)
        try:
            self._lock_handle = _take_root(self._root)
            make_tree(self.files.root)
            temporary = self._root / "tmp"
            temporary.mkdir(exist_ok=True)
        except OSError as error:
            self._listener.close()
            raise VirtualPhoneError(
                f"{self._root} can't be a virtual phone's folder",
                why=error.strerror or str(error),
                hint="Choose another folder with --root.",
            ) from error
        except VirtualPhoneError:
            self._listener.close()
            raise
        # Beside the root, for a socket's path has 107 bytes at most (sun_path of unix(7)).
        self.sockets = Path(tempfile.mkdtemp(prefix="qnn-sd-"))
        java = DesktopJava(self.files.root, self.sockets, temporary, self._worker_jar, self._say)
        machine = Machine(self.files, self._processes, self._threads, self.properties, self._battery, java)
        services = Services(
            machine,
            SyncService(self.files, Cable(self._faults, self.disconnect)),
            AbstractSockets(self.sockets, self._threads, SentMeter(self._faults.kill_worker, self.kill_worker)),
        )

        def serve(connection: socket.socket) -> None:
            transport = Transport(
                connection,
                banner(self.properties, FEATURES),
                keys,
                services.find,
                self._threads,
                answers=not self._faults.offline,
            )
            with self._transports_lock:
                self._transports.add(transport)
            try:
                transport.serve()
            finally:
                with self._transports_lock:
                    self._transports.discard(transport)

        self._threads.start("adbd", lambda: self._accept(serve))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it: connections, processes, threads, and what it made outside its root."""
        assert self._listener is not None
        # Wakes the thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self.disconnect()
        self._processes.stop()
        self._threads.join()
        self._listener.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        shutil.rmtree(self._root / "tmp", ignore_errors=True)
        os.close(self._lock_handle)

    def disconnect(self) -> None:
        """Pulls the cable: every connection ends. The phone goes on, and adb may connect again."""
        with self._transports_lock:
            transports = list(self._transports)
        for transport in transports:
            transport.drop()

    def kill_worker(self) -> int:
        """Kills what ``app_process`` runs, as Android's low memory killer does; returns how many there were."""
        return self._processes.kill_programs()

    def _accept(self, serve: Callable[[socket.socket], None]) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # the phone ends
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._threads.start("transport", lambda connection=connection: serve(connection))  # type: ignore[misc]


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise VirtualPhoneError(
            f"Port {port} of {LOOPBACK} can't be had",
            why=error.strerror or str(error),
            hint="Choose another with --port, or leave it out for any free one.",
        ) from error
    return listener


def _take_root(root: Path) -> int:
    """Locks a phone's folder; returns the lock's descriptor.

    Raises:
        VirtualPhoneError: it holds something else, or another phone uses it.
        OSError: it can't be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()) and not (root / _LOCK).is_file():
        raise VirtualPhoneError(
            f"{root} is not a virtual phone's folder",
            why="There is something else in it.",
            hint="Choose an empty folder with --root.",
        )
    handle = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        raise VirtualPhoneError(
            f"{root} belongs to a virtual phone that runs", hint="Choose another folder with --root."
        ) from error
    return handle
