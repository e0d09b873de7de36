"""One phone behind the adb server: commands, abstract sockets, and adbd's services."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qnn_sd.adb_program import adb_command
from qnn_sd.errors import DeviceError, QnnSdError
from qnn_sd.targets.adb.client.connection_errors import examine
from qnn_sd.targets.adb.client.device_history import DeviceHistory
from qnn_sd.targets.adb.client.remote_process import ANSWER_SECONDS, RemoteProcess, ShellResult

if TYPE_CHECKING:
    from adbutils import AdbDevice as AdbutilsDevice

# How long the adb server may take to notice that a phone is gone: of a connection that broke, of a service that was
# refused, and of a program whose exit code may still be on its way.
_BROKEN_SECONDS, _REFUSED_SECONDS, _EXIT_CODE_SECONDS = 1.0, 0.2, 2.0
# Connections that break within this time broke for the same reason.
_ONE_LOSS_SECONDS = 1.0


class Phone:
    """A connected phone.

    Args:
        device: adbutils' object for it.
        history: of its states, from before the first connection.
    """

    def __init__(self, device: AdbutilsDevice, history: DeviceHistory) -> None:
        self._device, self._history = device, history
        self._examining = threading.Lock()
        self._told: tuple[float, QnnSdError] | None = None

    @property
    def serial(self) -> str:
        """Its name at the adb server."""
        return str(self._device.serial)

    def shell(self, command: str, stdin: Iterable[bytes] = ()) -> ShellResult:
        """Runs a command to its end.

        Args:
            command: for the phone's ``sh``.
            stdin: data for its standard input.

        Raises:
            DeviceError: the connection was lost, or the phone doesn't answer.
        """
        with self.start(command) as process:
            return process.communicate(stdin)

    def ask(self, command: str) -> str:
        """The output of a command that succeeds on every Android phone.

        Raises:
            DeviceError: it failed, or the connection was lost.
        """
        result = self.shell(command)
        if result.exit_code:
            raise DeviceError(
                f"{self.serial} doesn't answer {command!r}",
                why=result.error_line,
                hint=f"Is it an Android phone? Try {adb_command('-s', self.serial, 'shell', command)}.",
            )
        return result.text

    def start(self, command: str) -> RemoteProcess:
        """Starts a command.

        Raises:
            DeviceError: the connection was lost.
        """
        return RemoteProcess(self, self.open_service(f"shell,v2,raw:{command}"))

    def connect(self, name: str) -> socket.socket:
        """A stream to an abstract socket on the phone.

        Raises:
            DeviceError: nothing listens there, or the connection was lost.
        """
        return self.open_service(f"localabstract:{name}")

    def open_service(self, service: str) -> socket.socket:
        """A stream to one of adbd's services (AOSP, packages/modules/adb, docs/dev/services.md).

        Raises:
            DeviceError: there is no such service, or the connection was lost.
        """
        notice_seconds = _BROKEN_SECONDS
        try:
            connection = self._device.open_transport()
            connection.send_command(service)
            # From here on a refusal is most likely adbd's: nothing listens at a socket.
            notice_seconds = _REFUSED_SECONDS
            connection.check_okay()
            # adbutils' object closes its socket some time later; the copy stays open.
            stream: socket.socket = connection.conn.dup()
            connection.conn.close()
        except Exception as error:
            raise self.lost(str(error) or type(error).__name__, notice_seconds) from error
        stream.settimeout(ANSWER_SECONDS)
        return stream

    def lost(self, why: str, notice_seconds: float = _BROKEN_SECONDS) -> QnnSdError:
        """The error for a connection to it that broke, after adb was asked what became of it.

        Args:
            why: what was noticed of it here.
            notice_seconds: how long to wait whether adb notices that the phone is gone.
        """
        return self._examined(lambda: None, notice_seconds) or DeviceError(
            f"The connection to {self.serial} was lost",
            why=f"{why} adb still lists the phone.",
            hint="Type the same line again: it resumes where it stopped.",
        )

    def lost_program(self, ended: Callable[[], QnnSdError | None]) -> QnnSdError | None:
        """The error for a connection to a program on it that broke, after adb was asked; None if nothing is known.

        Args:
            ended: gives the error as soon as the phone has told that the program ended.
        """
        return self._examined(ended, _EXIT_CODE_SECONDS)

    def _examined(self, ended: Callable[[], QnnSdError | None], notice_seconds: float) -> QnnSdError | None:
        # One loss breaks several connections, each of which a thread may be using.
        with self._examining:
            if self._told is not None and time.monotonic() - self._told[0] < _ONE_LOSS_SECONDS:
                return self._told[1]
            error = examine(self.serial, self._history, ended, notice_seconds)
            if error is not None:
                self._told = time.monotonic(), error
            return error
