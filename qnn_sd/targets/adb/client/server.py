"""The adb server: the phones that it lists, and connections to phones in the network.

adbutils speaks to the server, and brings adb itself.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qnn_sd.adb_server import server_address
from qnn_sd.errors import DeviceError
from qnn_sd.installation import install_extra
from qnn_sd.targets.adb.client.connection_errors import server_unreachable
from qnn_sd.targets.adb.client.device_history import DeviceHistory
from qnn_sd.targets.adb.client.phone import Phone

if TYPE_CHECKING:
    from adbutils import AdbClient


@dataclass(frozen=True)
class AdbDevice:
    """A phone as the adb server lists it.

    Attributes:
        serial: its name at the server.
        state: ``device`` if it can be used, else ``unauthorized``, ``offline``, ...
    """

    serial: str
    state: str


class Adb:
    """The adb server; it is started if none runs.

    Attributes:
        version: the server's version; 41 is what ``adb version`` calls 1.0.41.

    Raises:
        DeviceError: adbutils isn't installed, or the server can't be reached, or a variable names no server.
    """

    def __init__(self) -> None:
        try:
            from adbutils import AdbClient  # noqa: PLC0415 - the extra phone
        except ImportError as error:
            raise DeviceError(
                "The phone needs adb",
                why="adbutils, which brings it, isn't installed.",
                hint=f"{install_extra('phone')}.",
            ) from error
        self._client: AdbClient = AdbClient(*server_address())
        try:
            self.version = self._client.server_version()
        except Exception as error:
            raise server_unreachable(error) from error

    def devices(self) -> list[AdbDevice]:
        """All phones that the server knows, whatever their state.

        Raises:
            DeviceError: the server can't be reached.
        """
        try:
            return [AdbDevice(info.serial, info.state) for info in self._client.list()]
        except Exception as error:
            raise server_unreachable(error) from error

    def connect(self, address: str) -> None:
        """Connects the server to a phone in the network, or on loopback.

        Args:
            address: ``host:port``.

        Raises:
            DeviceError: the phone can't be reached, or refuses this computer's key.
        """
        try:
            answer = self._client.connect(address)
        except Exception as error:
            raise server_unreachable(error) from error
        if "connected to" not in answer:
            raise DeviceError(
                f"adb can't connect to {address}", why=answer, hint="Is the phone on, and in this network?"
            )

    def disconnect(self, address: str) -> None:
        """Disconnects the server from such a phone; does nothing if the server is gone."""
        with suppress(Exception):
            self._client.disconnect(address)

    def phone(self, serial: str) -> Phone:
        """One of the phones.

        Raises:
            AdbServerError: the server can't be reached.
        """
        try:
            history = DeviceHistory(self._track)
        except Exception as error:
            raise server_unreachable(error) from error
        return Phone(self._client.device(serial), history)

    def _track(self) -> socket.socket:
        connection = self._client.make_connection()
        connection.send_command("host:track-devices")
        connection.check_okay()
        # adbutils' object closes its socket some time later; the copy stays open.
        stream: socket.socket = connection.conn.dup()
        connection.conn.close()
        return stream
