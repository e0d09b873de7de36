"""The connection to a worker: one request, one reply."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.targets.adb.worker.body import Body
from qnn_sd.targets.adb.worker.fields import Fields, malformed
from qnn_sd.targets.adb.worker.protocol import HEADER, Buffer, ErrorCode, Kind

T = TypeVar("T")

# More than any reply without tensors: 64 inputs and 64 outputs, names of 1,000 characters at most, 3 bytes each.
_SMALL_REPLY_BYTES = 1 << 20
# After these the worker ends.
_LAST = (ErrorCode.REFUSED_FRAME, ErrorCode.REFUSED_TOKEN, ErrorCode.REFUSED_VERSION)
_HINTS = {
    ErrorCode.REFUSED_VERSION: "Delete the phone's files with qnn-sd unstage: the next run stages the right worker.",
    ErrorCode.NO_FILE: "Run the command again: it stages what is missing.",
    ErrorCode.LOAD_FAILED: "The worker's log (--debug) says why; often the binary is another SoC's or a newer QAIRT's.",
    ErrorCode.NO_MEMORY: "Close other apps on the phone, or choose a smaller size.",
}
_HINT = "Run the command again; the worker's own log says more with --debug."


class WorkerError(TargetError):
    """A request that the worker refused.

    Attributes:
        code: why, as the protocol counts it.
    """

    def __init__(self, code: ErrorCode, what: str, why: str) -> None:
        super().__init__(what, why=why, hint=_HINTS.get(code, _HINT))
        self.code = code


class _BrokenError(Exception):
    """The connection ended before a whole reply had come."""


def _broken(why: str) -> QnnSdError:
    return TargetError("The connection to the worker broke", why=why, hint=_HINT)


class WorkerConnection:
    """Sends requests to one worker, and reads its replies.

    A reply that breaks the protocol closes the connection: what follows it has no meaning.

    Args:
        connection: a connected stream socket; its timeout, if any, holds for each wait.

    Attributes:
        last_id: number of the last request; 0 before the first one.
        explain: gives the error for a connection that broke, from what was noticed of it here.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.last_id = 0
        self.explain: Callable[[str], QnnSdError] = _broken

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def call(self, kind: Kind, body: Body, read: Callable[[Fields], T], tensor_bytes: int = 0) -> T:
        """One request and its reply; anything but a well-formed reply closes the connection.

        Args:
            kind: of the request.
            body: its fields.
            read: reads the fields of an OK.
            tensor_bytes: size of the tensors that may come back.

        Raises:
            WorkerError: the worker refused it.
            TargetError: the request can't be sent, or its reply breaks the protocol.
            QnnSdError: the connection broke; as ``explain`` says.
        """
        frame = body.frame(self.last_id + 1, kind)
        self.last_id += 1
        try:
            fields = Fields(self._exchange(frame, _SMALL_REPLY_BYTES + tensor_bytes))
            result = read(fields)
            fields.end()
            return result
        except WorkerError as error:
            if error.code in _LAST:
                self._socket.close()
            raise
        except (OSError, _BrokenError) as error:
            self._socket.close()
            raise self.explain(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
        except BaseException:
            # Ctrl-C too: half of a reply may still be on its way.
            self._socket.close()
            raise

    def _exchange(self, frame: Sequence[Buffer], most: int) -> memoryview:
        try:
            for part in frame:
                self._socket.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            # A worker that hangs up early has said why.
            return self.reply(most)
        return self.reply(most)

    def reply(self, most: int) -> memoryview:
        """The body of the reply to the last request.

        Args:
            most: bytes that it can have.

        Raises:
            WorkerError: the worker refused it.
            TargetError: the reply breaks the protocol.
        """
        length, request_id, kind = HEADER.unpack(self._receive(HEADER.size))
        if length > most:
            raise malformed(f"It says that it has {length:,} bytes, where {most:,} are the most.")
        if request_id != self.last_id:
            raise malformed(f"It answers request {request_id}, not {self.last_id}.")
        if kind not in (Kind.OK, Kind.ERROR):
            raise malformed(f"There is no reply of kind {kind}.")
        body = self._receive(length)
        if kind == Kind.ERROR:
            raise _read_error(body)
        return body

    def _receive(self, count: int) -> memoryview:
        whole = memoryview(bytearray(count))
        got = 0
        while got < count:
            more = self._socket.recv_into(whole[got:])
            if not more:
                raise _BrokenError(f"It hung up after {got:,} of {count:,} bytes of a reply." if got else "It hung up.")
            got += more
        return whole


def _read_error(body: Buffer) -> WorkerError:
    fields = Fields(body)
    number, what, why = fields.u16(), fields.string(), fields.string()
    fields.end()
    try:
        code = ErrorCode(number)
    except ValueError as error:
        raise malformed(f"There is no error of code {number}.") from error
    return WorkerError(code, what, why)
