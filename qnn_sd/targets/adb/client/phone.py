"""One phone behind the adb server: commands, abstract sockets, and adbd's services."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.client.connection_errors import connection_lost
from qnn_sd.targets.adb.client.remote_process import ANSWER_SECONDS, RemoteProcess, ShellResult

if TYPE_CHECKING:
    from adbutils import AdbDevice as AdbutilsDevice


class Phone:
    """A connected phone.

    Args:
        device: adbutils' object for it.
    """

    def __init__(self, device: AdbutilsDevice) -> None:
        self._device = device

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
                hint="Is it an Android phone? Try the command with adb shell.",
            )
        return result.text

    def start(self, command: str) -> RemoteProcess:
        """Starts a command.

        Raises:
            DeviceError: the connection was lost.
        """
        return RemoteProcess(self.serial, self.open_service(f"shell,v2,raw:{command}"))

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
        try:
            connection = self._device.open_transport()
            connection.send_command(service)
            connection.check_okay()
            # adbutils' object closes its socket some time later; the copy stays open.
            stream: socket.socket = connection.conn.dup()
            connection.conn.close()
        except Exception as error:
            raise connection_lost(self.serial, str(error) or type(error).__name__) from error
        stream.settimeout(ANSWER_SECONDS)
        return stream
