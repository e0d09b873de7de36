"""The virtual phone: an adb device on loopback."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from qnn_sd.config import DeviceProfile
from qnn_sd.errors import VirtualPhoneError
from qnn_sd.virtual_phone.abstract_sockets import AbstractSockets, SentMeter
from qnn_sd.virtual_phone.cable import Cable
from qnn_sd.virtual_phone.commands.call import Machine
from qnn_sd.virtual_phone.desktop_java import DesktopJava
from qnn_sd.virtual_phone.faults import Faults
from qnn_sd.virtual_phone.files import PhoneFiles
from qnn_sd.virtual_phone.keys import keys_of_user
from qnn_sd.virtual_phone.processes import Processes
from qnn_sd.virtual_phone.properties import Battery, banner, make_tree, properties_of
from qnn_sd.virtual_phone.services import FEATURES, Services
from qnn_sd.virtual_phone.sync_service import SyncService
from qnn_sd.virtual_phone.threads import Threads
from qnn_sd.virtual_phone.transport import Transport
from qnn_sd.worker_jars import DESKTOP_JAR

LOOPBACK = "127.0.0.1"
DEFAULT_SERIAL = "qnnsd0000001"
_LOCK = "virtual-phone.lock"
# unix(7): 108 bytes with the zero at their end. A worker's socket is named qnn-sd- and 16 hex digits.
_SUN_PATH, _LONGEST_NAME = 107, 24


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
        worker_jar: Path = DESKTOP_JAR,
        say: Callable[[str], None] = print,
    ) -> None:
        self._root, self._port, self._worker_jar, self._say = root.resolve(), port, worker_jar, say
        self._faults = faults or Faults()
        self._battery = battery or Battery()
        self.properties = properties_of(profile, serial, self._faults.properties)
        self.files = PhoneFiles(self._root / "files", self._faults.room)
        self.sockets = self._root / "sockets"
        self._passing = (self.sockets, self._root / "tmp")
        self._processes, self._threads = Processes(), Threads()
        self._transports: set[Transport] = set()
        self._transports_lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._held = ExitStack()

    @property
    def port(self) -> int:
        """The port that it listens on, once it is started."""
        return self._port

    @property
    def address(self) -> str:
        """As ``adb connect`` takes it and ``adb -s`` names it."""
        return f"{LOOPBACK}:{self._port}"

    def __enter__(self) -> VirtualPhone:
        """Starts it.

        Raises:
            VirtualPhoneError: as ``start``.
        """
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self.stop()

    def start(self) -> None:
        """Starts it; a phone starts once.

        Raises:
            VirtualPhoneError: no adb key, no such port, or a root that isn't a phone's or has too long a path.
        """
        _refuse_long_path(self.sockets)
        keys = [] if self._faults.unauthorized else keys_of_user()
        with ExitStack() as held:
            listener = held.enter_context(_listen(self._port))
            try:
                held.callback(os.close, _take_root(self._root))
                make_tree(self.files.root, self._battery)
                for folder in self._passing:
                    # What a phone that was killed left there would be in a worker's way.
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir()
            except OSError as error:
                raise VirtualPhoneError(
                    f"{self._root} can't be a virtual phone's folder",
                    why=error.strerror or str(error),
                    hint="Choose another folder with --root.",
                ) from error
            self._held = held.pop_all()
        self._listener, self._port = listener, listener.getsockname()[1]
        services = self._services()

        def serve(connection: socket.socket) -> None:
            told = banner(self.properties, FEATURES)
            answers = not self._faults.offline
            transport = Transport(connection, told, keys, services.find, self._threads, answers)
            with self._transports_lock:
                self._transports.add(transport)
            if self._listener is None:
                transport.drop()  # the phone ended meanwhile
            try:
                transport.serve()
            finally:
                with self._transports_lock:
                    self._transports.discard(transport)

        self._threads.start("adbd", lambda: self._accept(listener, serve))

    def _services(self) -> Services:
        sockets, temporary = self._passing
        java = DesktopJava(self.files.root, sockets, temporary, self._worker_jar, self._say)
        machine = Machine(self.files, self._processes, self._threads, self.properties, self._battery, java)
        cable = Cable(self._faults, self.disconnect)
        return Services(
            machine,
            SyncService(self.files, cable),
            AbstractSockets(sockets, self._threads, SentMeter(self._faults.kill_worker, self.kill_worker)),
            cable,
        )

    def stop(self) -> None:
        """Ends connections, processes and threads; the phone's files stay. A second time does nothing."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # Wakes the thread that waits in accept.
        listener.shutdown(socket.SHUT_RDWR)
        self.disconnect()
        self._processes.stop()
        self._threads.join()
        for folder in self._passing:
            shutil.rmtree(folder, ignore_errors=True)
        self._held.close()

    def disconnect(self) -> None:
        """Pulls the cable: every connection ends. The phone goes on, and adb may connect again."""
        with self._transports_lock:
            transports = list(self._transports)
        for transport in transports:
            transport.drop()

    def kill_worker(self) -> int:
        """Kills what ``app_process`` runs, as Android's low memory killer does; returns how many there were."""
        return self._processes.kill_programs()

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the phone ends
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._threads.start("transport", lambda connection=connection: serve(connection))  # type: ignore[misc]


def _refuse_long_path(sockets: Path) -> None:
    most = _SUN_PATH - 1 - _LONGEST_NAME
    if len(os.fsencode(sockets)) > most:
        raise VirtualPhoneError(
            f"The path of {sockets} is too long",
            why=f"Socket files are made there, and a socket's path has {_SUN_PATH} bytes at most.",
            hint=f"Choose a folder with --root whose path has at most {most - len('/sockets')} bytes.",
        )


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
