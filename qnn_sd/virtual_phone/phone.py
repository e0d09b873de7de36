"""The virtual phone: an adb device on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from qnn_sd.config import DeviceProfile
from qnn_sd.errors import VirtualPhoneError
from qnn_sd.virtual_phone.adbd.auth_keys import load_user_keys
from qnn_sd.virtual_phone.adbd.services import Services, connection_banner
from qnn_sd.virtual_phone.adbd.socket_service import ByteLimit, SocketService
from qnn_sd.virtual_phone.adbd.sync_service import SyncService
from qnn_sd.virtual_phone.adbd.transport import Transport
from qnn_sd.virtual_phone.adbd.usb_cable import UsbCable
from qnn_sd.virtual_phone.android.desktop_java import DesktopJava
from qnn_sd.virtual_phone.android.device import Device
from qnn_sd.virtual_phone.android.file_system import FileSystem
from qnn_sd.virtual_phone.android.processes import ProcessTable
from qnn_sd.virtual_phone.android.properties import system_properties
from qnn_sd.virtual_phone.android.system_files import Battery, create_system_files
from qnn_sd.virtual_phone.faults import Faults
from qnn_sd.virtual_phone.moments import Plan
from qnn_sd.virtual_phone.root_folder import lock_root, require_short_path
from qnn_sd.virtual_phone.thread_group import ThreadGroup
from qnn_sd.worker_jars import DESKTOP_JAR

LOOPBACK = "127.0.0.1"
DEFAULT_SERIAL = "qnnsd0000001"


class VirtualPhone:
    """An adb device on loopback, which adb treats as a phone in the network; use it as a context manager.

    Args:
        profile: device profile of its SoC.
        root: its folder, empty or left by an earlier virtual phone; created if it is missing.
        port: on loopback; 0 for any free one.
        serial: its ``ro.serialno``. adb's own name for it is ``address``.
        faults: failures that it shows.
        battery: the state of its battery.
        worker_jar: the classes that ``app_process`` runs.
        say: called with messages for its user, a line at a time.

    Attributes:
        properties: Android's system properties.
        files: its file system; ``files.root`` is the host's folder of ``/``.
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
        self.properties = system_properties(profile, serial, self._faults.properties)
        self.files = FileSystem(self._root / "files", self._faults.free_space)
        self.sockets = self._root / "sockets"
        self._temporary_folders = (self.sockets, self._root / "tmp")
        self._processes, self._threads = ProcessTable(), ThreadGroup()
        self._answers = not self._faults.offline
        self._keys: list[RSAPublicKey] = []
        self._transports: set[Transport] = set()
        self._transports_lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._resources = ExitStack()

    @property
    def port(self) -> int:
        """The port that it listens on, after the start."""
        return self._port

    @property
    def address(self) -> str:
        """Its name for ``adb connect`` and ``adb -s``."""
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
        """Starts it, once.

        Raises:
            VirtualPhoneError: there is no adb key, the port is in use, or the root can't be a phone's folder.
        """
        require_short_path(self.sockets)
        self._keys = [] if self._faults.unauthorized else load_user_keys()
        with ExitStack() as resources:
            listener = resources.enter_context(_listen(self._port))
            try:
                resources.callback(os.close, lock_root(self._root))
                create_system_files(self.files.root, self._battery)
                for folder in self._temporary_folders:
                    # A phone that was killed may have left files there.
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir()
            except OSError as error:
                raise VirtualPhoneError(
                    f"{self._root} can't be a virtual phone's folder",
                    why=error.strerror or str(error),
                    hint="Choose another folder with --root.",
                ) from error
            self._resources = resources.pop_all()
        self._listener, self._port = listener, listener.getsockname()[1]
        services, banner = self._services(), connection_banner(self.properties)

        def serve(connection: socket.socket) -> None:
            self._serve(Transport(connection, banner, self._keys, services.find, self._threads, self._answers))

        self._threads.start("adbd", lambda: self._accept(listener, serve))

    def _serve(self, transport: Transport) -> None:
        with self._transports_lock:
            self._transports.add(transport)
        if self._listener is None:
            transport.drop()  # the phone was stopped meanwhile
        try:
            transport.serve()
        finally:
            with self._transports_lock:
                self._transports.discard(transport)

    def _services(self) -> Services:
        sockets, temporary = self._temporary_folders
        java = DesktopJava(self.files.root, sockets, temporary, self._worker_jar, self._say)
        device = Device(self.files, self._processes, self._threads, self.properties, self._battery, java)
        plan = Plan((moment, self._happenings[name]) for name, moment in self._faults.planned)
        cable = UsbCable(self._faults, self.disconnect, plan)
        return Services(
            device,
            SyncService(self.files, cable),
            SocketService(sockets, self._threads, ByteLimit(self._faults.kill_worker, self.kill_worker), plan),
            cable,
        )

    @property
    def _happenings(self) -> dict[str, Callable[[], object]]:
        """What planned faults do, by name."""
        return {
            "disappear": self.disappear,
            "flap": self.disconnect,
            "revoke": self._revoke,
            "freeze": self._freeze,
            "kill": self.kill_worker,
            "abort": partial(self.kill_worker, signal.SIGABRT),
        }

    def disappear(self) -> None:
        """Switches it off: its connections and programs end, and nothing answers at its address any more."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._answers = False
        self.disconnect()
        self._processes.kill_programs()

    def _revoke(self) -> None:
        self._keys = []
        self.disconnect()

    def _freeze(self) -> None:
        self._answers = False
        self.disconnect()

    def stop(self) -> None:
        """Ends connections, processes and threads; the phone's files stay. A second call does nothing."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with suppress(OSError):
            # Wakes the thread that waits in accept; one that is switched off has none.
            listener.shutdown(socket.SHUT_RDWR)
        self.disconnect()
        self._processes.stop()
        self._threads.join()
        for folder in self._temporary_folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._resources.close()

    def disconnect(self) -> None:
        """Ends every connection, as unplugging does. The phone goes on, and adb may connect again."""
        with self._transports_lock:
            transports = list(self._transports)
        for transport in transports:
            transport.drop()

    def kill_worker(self, number: int = signal.SIGKILL) -> int:
        """Ends the workers, by default as Android's low memory killer does; returns how many there were."""
        return self._processes.kill_programs(number)

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the phone is stopped
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
