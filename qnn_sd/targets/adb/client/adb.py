"""The adb server and one phone behind it: what is connected, commands, sockets.

adbutils speaks to the server and brings adb itself. Commands are run here over the shell protocol,
version 2 (AOSP, packages/modules/adb, shell_protocol.h), which keeps both streams apart, tells the
exit code and takes stdin as it comes.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qnn_sd.errors import DeviceError
from qnn_sd.installation import install_extra

if TYPE_CHECKING:
    from adbutils import AdbClient
    from adbutils import AdbDevice as AdbutilsDevice

_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
# A phone that answers nothing for so long is as good as unplugged.
ANSWER_SECONDS = 60.0
# adbd's largest payload (MAX_PAYLOAD, 1 MiB), less the packet's head.
_CHUNK = (1 << 20) - _PACKET.size


@dataclass(frozen=True)
class AdbDevice:
    """A phone as the adb server lists it.

    Attributes:
        serial: its name.
        state: ``device`` where it can be used; ``unauthorized``, ``offline``, ...
    """

    serial: str
    state: str


@dataclass(frozen=True)
class ShellResult:
    """What a command on the phone answered.

    Attributes:
        code: its exit code.
        out: standard output.
        err: standard error.
    """

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output, without the last line's end."""
        return self.out.decode("utf-8", "replace").rstrip("\n")

    @property
    def complaint(self) -> str:
        """The first line of standard error, or the exit code."""
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        return lines[0] if lines else f"exit code {self.code}"


class Adb:
    """The adb server; it is started if none runs.

    Attributes:
        version: the server's; 41 is what ``adb version`` calls 1.0.41.

    Raises:
        DeviceError: adbutils isn't installed, or the server can't be reached.
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
        self._client: AdbClient = AdbClient()
        try:
            self.version = self._client.server_version()
        except Exception as error:
            raise _no_server(error) from error

    def listed(self) -> list[AdbDevice]:
        """Every phone that the server knows, whatever its state.

        Raises:
            DeviceError: the server can't be reached.
        """
        try:
            return [AdbDevice(info.serial, info.state) for info in self._client.list()]
        except Exception as error:
            raise _no_server(error) from error

    def connect(self, address: str) -> None:
        """Makes the server know a phone in the network, or on loopback.

        Raises:
            DeviceError: it can't be reached, or doesn't let this user in.
        """
        try:
            answer = self._client.connect(address)
        except Exception as error:
            raise _no_server(error) from error
        if "connected to" not in answer:
            raise DeviceError(
                f"adb can't connect to {address}", why=answer, hint="Is the phone on, and in this network?"
            )

    def disconnect(self, address: str) -> None:
        """Makes the server forget it; does nothing if the server is gone."""
        with suppress(Exception):
            self._client.disconnect(address)

    def phone(self, serial: str) -> Phone:
        """One of them."""
        return Phone(self._client.device(serial))


def _no_server(error: Exception) -> DeviceError:
    return DeviceError(
        "The adb server doesn't answer",
        why=str(error) or type(error).__name__,
        hint="Type adb kill-server, then try again; ANDROID_ADB_SERVER_PORT must name the same port for all.",
    )


class Phone:
    """A connected phone.

    Args:
        device: adbutils' handle.
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
            stdin: what it reads.

        Raises:
            DeviceError: the phone went away, or doesn't answer.
        """
        with self.start(command) as running:
            return running.finish(stdin)

    def ask(self, command: str) -> str:
        """What a command prints; for one that can't fail on a phone that is there.

        Raises:
            DeviceError: it failed all the same.
        """
        result = self.shell(command)
        if result.code:
            raise DeviceError(
                f"{self.serial} doesn't answer {command!r}",
                why=result.complaint,
                hint="Is it an Android phone? Try the command with adb shell.",
            )
        return result.text

    def start(self, command: str) -> RemoteProcess:
        """Starts a command.

        Raises:
            DeviceError: the phone went away.
        """
        return RemoteProcess(self.serial, self.open_service(f"shell,v2,raw:{command}"))

    def connect(self, name: str) -> socket.socket:
        """A stream to an abstract socket on the phone.

        Raises:
            DeviceError: nothing listens there, or the phone went away.
        """
        return self.open_service(f"localabstract:{name}")

    def open_service(self, service: str) -> socket.socket:
        """A stream to one of adbd's services (AOSP, packages/modules/adb, docs/dev/services.md).

        Raises:
            DeviceError: there is no such service, or the phone went away.
        """
        try:
            connection = self._device.open_transport()
            connection.send_command(service)
            connection.check_okay()
            # The connection object closes its socket after a pause; a copy of it is ours.
            stream: socket.socket = connection.conn.dup()
            connection.conn.close()
        except Exception as error:
            raise gone(self.serial, str(error) or type(error).__name__) from error
        stream.settimeout(ANSWER_SECONDS)
        return stream


def gone(serial: str, why: str) -> DeviceError:
    """The error of a phone that went away in the middle of something."""
    return DeviceError(
        f"{serial} went away",
        why=why,
        hint="Plug it in again and repeat the command: it goes on where it stopped.",
    )


# A command that hasn't said anything for so long has said it all.
_QUIET_SECONDS = 0.5
_MOST_TALK_SECONDS = 5.0


class RemoteProcess:
    """A command that runs on the phone; leaving the block ends it.

    Args:
        serial: the phone's, for messages.
        stream: the service's stream.
    """

    def __init__(self, serial: str, stream: socket.socket) -> None:
        self._serial, self._stream = serial, stream
        self._out, self._err = bytearray(), bytearray()
        self._code: int | None = None
        self._raw = bytearray()
        self._follower: threading.Thread | None = None
        self._heard = threading.Event()

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the command, as unplugging would."""
        with suppress(OSError):
            # A thread that waits for data isn't woken by a close.
            self._stream.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        if self._follower is not None:
            self._follower.join()

    def write(self, data: bytes) -> None:
        """Sends to its standard input.

        Raises:
            DeviceError: the phone went away.
        """
        try:
            self._stream.sendall(_PACKET.pack(_STDIN, len(data)) + data)
        except OSError as error:
            raise gone(self._serial, str(error)) from error

    def line(self) -> str:
        """The next line of standard output.

        Raises:
            DeviceError: it ended before one came (what it complained of is the reason), or the phone went away.
        """
        while b"\n" not in self._out:
            if self._code is not None:
                raise DeviceError(
                    f"A command on {self._serial} ended too soon",
                    why=ShellResult(self._code, b"", bytes(self._err)).complaint,
                    hint="Run the command again with --debug.",
                )
            self._receive()
        found, _, rest = bytes(self._out).partition(b"\n")
        self._out = bytearray(rest)
        return found.decode("utf-8", "replace")

    def finish(self, stdin: Iterable[bytes] = ()) -> ShellResult:
        """Sends standard input, ends it, and waits for the command's end.

        A command that ends while it is still being fed is fed no more.

        Raises:
            DeviceError: the phone went away, or doesn't answer.
        """
        for data in stdin:
            for start in range(0, len(data), _CHUNK):
                while self._code is None and select.select([self._stream], [], [], 0)[0]:
                    self._receive()
                if self._code is not None:
                    return self._result()
                self.write(data[start : start + _CHUNK])
        if self._code is None:
            try:
                self._stream.sendall(_PACKET.pack(_CLOSE_STDIN, 0))
            except OSError as error:
                raise gone(self._serial, str(error)) from error
        while self._code is None:
            self._receive()
        return self._result()

    def follow(self) -> None:
        """Takes what the command says from now on, in the background: one whose words nobody takes would stop.

        Neither ``line`` nor ``finish`` may follow.
        """
        self._stream.settimeout(None)
        self._follower = threading.Thread(target=self._follow, name=f"log of {self._serial}", daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        with suppress(DeviceError):
            while self._code is None:
                self._receive()
                self._heard.set()

    def await_end(self, seconds: float) -> None:
        """Waits for the end of a command that is followed, but no longer than that."""
        if self._follower is not None:
            self._follower.join(seconds)

    def log(self) -> str:
        """What came on standard error so far."""
        return self._err.decode("utf-8", "replace")

    def await_log(self) -> None:
        """Waits until nothing more comes of a command that is followed, but not for one that never stops talking.

        What it said just before it answered on another pipeline may still be on its way.
        """
        until = time.monotonic() + _MOST_TALK_SECONDS
        while self._follower is not None and self._follower.is_alive() and time.monotonic() < until:
            self._heard.clear()
            if not self._heard.wait(_QUIET_SECONDS):
                return

    def _result(self) -> ShellResult:
        assert self._code is not None
        return ShellResult(self._code, bytes(self._out), bytes(self._err))

    def _receive(self) -> None:
        """Takes what has come; waits for something if nothing has."""
        try:
            data = self._stream.recv(1 << 20)
        except TimeoutError as error:
            raise gone(self._serial, f"No answer for {ANSWER_SECONDS:.0f} seconds.") from error
        except OSError as error:
            raise gone(self._serial, str(error)) from error
        if not data:
            raise gone(self._serial, "The connection closed.")
        self._raw += data
        while len(self._raw) >= _PACKET.size:
            kind, length = _PACKET.unpack_from(self._raw)
            if len(self._raw) < _PACKET.size + length:
                return
            payload = bytes(self._raw[_PACKET.size : _PACKET.size + length])
            del self._raw[: _PACKET.size + length]
            if kind == _STDOUT:
                self._out += payload
            elif kind == _STDERR:
                self._err += payload
            elif kind == _EXIT:
                self._code = payload[0] if payload else 255
