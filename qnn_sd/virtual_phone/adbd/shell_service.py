"""``shell:`` and ``exec:`` (AOSP's ``docs/dev/services.md``, ``shell_protocol.h`` and ``daemon/shell_service.cpp``)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnn_sd.device_properties import LOCAL_TMP
from qnn_sd.virtual_phone.adbd.shell_streams import ShellStreams, forward, open_pipes, open_terminal
from qnn_sd.virtual_phone.adbd.stream import Stream
from qnn_sd.virtual_phone.adbd.usb_cable import UsbCable, UsbUnpluggedError
from qnn_sd.virtual_phone.android.device import Device
from qnn_sd.virtual_phone.shell.interpreter import Shell

# Ids of shell_protocol.h; each packet is its id, a length of 32 bits and the data.
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 0, 1, 2, 3, 4
_PACKET = struct.Struct("<BI")
_PROMPT = "virtual-phone:/ $ "
# Ctrl-C, as a terminal sends it.
_INTERRUPT = b"\x03"

# The environment of a shell, from init and shell_service.cpp.
ENVIRONMENT = {
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "HOME": "/",
    "HOSTNAME": "localhost",
    "LOGNAME": "shell",
    "PATH": "/system/bin:/vendor/bin",
    "PWD": "/",
    "SHELL": "/system/bin/sh",
    "TMPDIR": LOCAL_TMP,
    "USER": "shell",
}


@dataclass(frozen=True)
class ShellService:
    """One shell on a stream.

    Attributes:
        device: the phone.
        command: a script; empty for a shell that reads its commands from stdin.
        protocol: whether stdin, both outputs and the exit code are sent as packets (shell v2).
        terminal: whether the shell gets a pseudo-terminal.
        cable: can be unplugged while stdin is sent.
    """

    device: Device
    command: str
    protocol: bool
    terminal: bool
    cable: UsbCable

    def __call__(self, stream: Stream) -> None:
        """Runs the shell to its end; it hangs up when the host closes the stream."""
        streams = open_terminal() if self.terminal else open_pipes(separate_stderr=self.protocol)
        shell = Shell(self.device, ENVIRONMENT)
        statuses: list[int] = []
        start = self.device.threads.start
        feeder = start("stdin", lambda: self._feed(stream, streams, shell))
        outputs = [
            start("output", lambda: forward(streams.stdout, self._sender(stream, _STDOUT))),
            start("shell", lambda: statuses.append(self._run(shell, streams))),
        ]
        if streams.stderr is not None:
            stderr = streams.stderr
            outputs.append(start("errors", lambda: forward(stderr, self._sender(stream, _STDERR))))
        stream.when_ended(shell.hang_up)
        for thread in outputs:
            thread.join()
        shell.close()
        try:
            if self.protocol:
                stream.write(_PACKET.pack(_EXIT, 1) + bytes([sum(statuses) & 0xFF]))
        finally:
            stream.close()
            feeder.join()
            streams.close_outputs()

    def _run(self, shell: Shell, streams: ShellStreams) -> int:
        try:
            if self.command:
                return shell.run_text(self.command, streams.shell)
            return shell.run_lines(streams.shell, _PROMPT if self.terminal else "")
        except OSError as error:
            # The host is gone, or this machine is out of descriptors.
            with suppress(OSError):
                os.write(streams.shell[2], f"/system/bin/sh: {error.strerror}\n".encode())
            return 1
        finally:
            streams.close_shell()

    def _sender(self, stream: Stream, kind: int) -> Callable[[bytes], None]:
        if not self.protocol:
            return stream.write
        return lambda data: stream.write(_PACKET.pack(kind, len(data)) + data)

    def _feed(self, stream: Stream, streams: ShellStreams, shell: Shell) -> None:
        """Writes the host's data to the shell's stdin, up to its end."""
        incomplete = b""
        is_open = True
        while data := stream.read():
            chunks, ended = [data], False
            if self.protocol:
                chunks, incomplete, ended = _unpack_stdin(incomplete + data)
            for chunk in chunks:
                allowed = self.cable.bytes_until_fault(len(chunk))
                if is_open:
                    is_open = self._write(streams, chunk[:allowed], shell)
                if allowed < len(chunk):
                    with suppress(UsbUnpluggedError):
                        self.cable.unplug()
                    if is_open:
                        streams.end_stdin()
                    return  # what was still on its way is lost
            if ended and is_open:
                streams.end_stdin()
                is_open = False
        if is_open:
            streams.end_stdin()

    def _write(self, streams: ShellStreams, data: bytes, shell: Shell) -> bool:
        """Writes to the shell's stdin; returns whether it can take more."""
        if self.terminal and _INTERRUPT in data:
            shell.hang_up()
            streams.end_stdin()
            return False
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(streams.stdin, view) :]
        except OSError:
            streams.abandon_stdin()
            return False
        return True


def _unpack_stdin(data: bytes) -> tuple[list[bytes], bytes, bool]:
    """The data for stdin in all complete packets, the incomplete last packet, and whether stdin ended."""
    chunks, ended = [], False
    while len(data) >= _PACKET.size:
        kind, length = _PACKET.unpack_from(data)
        end = _PACKET.size + length
        if len(data) < end:
            break
        if kind == _STDIN and not ended:
            chunks.append(data[_PACKET.size : end])
        ended = ended or kind == _CLOSE_STDIN
        data = data[end:]
    return chunks, data, ended
