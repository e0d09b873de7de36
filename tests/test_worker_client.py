"""The host's client against workers that lie: nothing they say is believed before it is checked."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import ROOT

from qnn_sd.errors import TargetError
from qnn_sd.targets.adb.worker.client import WorkerClient, WorkerError
from qnn_sd.targets.adb.worker.protocol import (
    HEADER,
    MAX_BODY_BYTES,
    MAX_RANK,
    MAX_STRING_BYTES,
    PROTOCOL,
    ComputeUnit,
    ErrorCode,
    Kind,
    Slot,
)


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<H", len(encoded)) + encoded


def reply(request_id: int, body: bytes, kind: int = Kind.OK, length: int | None = None) -> bytes:
    return HEADER.pack(len(body) if length is None else length, request_id, kind) + body


def shape(*sizes: int, dtype: int = 1) -> bytes:
    return struct.pack(f"<BB{len(sizes)}I", dtype, len(sizes), *sizes)


FLOATS = np.arange(6, dtype=np.float32)
PORTS = struct.pack("<H", 1) + text("x") + shape(2, 3) + text("y") + shape(2, 3)
OPENED = struct.pack("<BQ", 1, 5) + PORTS
TIMED = struct.pack("<QB", 9, 1)
RESULT = TIMED + shape(2, 3) + FLOATS.tobytes()


@pytest.fixture
def ends() -> Iterator[tuple[WorkerClient, socket.socket]]:
    """A client and the worker's end of its connection, where replies can lie before they are asked for."""
    host, worker = socket.socketpair()
    host.settimeout(60)
    yield WorkerClient(host), worker
    host.close()
    worker.close()


def call(client: WorkerClient) -> np.ndarray | None:
    return client.run("c", {"x": Slot("s")}).output


def test_an_honest_worker_is_believed(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    worker.sendall(reply(1, OPENED) + reply(2, RESULT) + reply(3, struct.pack("<QB", 9, 0)))
    opened = client.open("c", "file")
    assert (opened.loaded, opened.load_nanoseconds, opened.inputs[0].name, opened.output.shape) == (
        True,
        5,
        "x",
        (2, 3),
    )
    np.testing.assert_array_equal(call(client), FLOATS.reshape(2, 3), strict=True)
    assert client.run("c", {"x": Slot("s")}, keep_as="kept").output is None


LIES = {
    "a length over what there can be": (reply(2, b"", length=0xFFFFFFFF), "the most"),
    "a length of some megabytes": (reply(2, b"", length=2 << 20), "the most"),
    "another request's id": (reply(3, RESULT), "answers request 3, not 2"),
    "a kind that is no reply": (reply(2, RESULT, Kind.RUN), "no reply of kind 4"),
    "an error of no known code": (reply(2, struct.pack("<H", 99) + text("a") + text("b"), Kind.ERROR), "code 99"),
    "an error cut short": (reply(2, struct.pack("<HH", 8, 50) + b"a", Kind.ERROR), "runs past"),
    "another shape of the same size": (reply(2, TIMED + shape(3, 2) + FLOATS.tobytes()), "not \\[2, 3\\]"),
    "another dtype": (reply(2, TIMED + shape(2, 3, dtype=2) + FLOATS.tobytes()), "came as int32"),
    "an unknown dtype": (reply(2, TIMED + shape(2, 3, dtype=3) + FLOATS.tobytes()), "dtype 3"),
    "too many axes": (reply(2, TIMED + shape(*(1,) * 9)), "9 axes"),
    "a gigantic shape": (reply(2, TIMED + shape(*(0xFFFFFFFF,) * 8)), "has shape"),
    "fewer bytes than the shape": (reply(2, TIMED + shape(2, 3) + FLOATS.tobytes()[:-1]), "runs past"),
    "more bytes than the shape": (reply(2, RESULT + b"!"), "1 bytes more"),
    "no output": (reply(2, struct.pack("<QB", 9, 0)), "none where one was"),
    "an empty reply": (reply(2, b""), "runs past"),
    "half a reply": (reply(2, RESULT)[:-3], "hung up after 40 of 43"),
    "half a header": (reply(2, RESULT)[:5], "hung up after 5 of 9"),
    "nothing": (b"", "It hung up"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_worker_that_lies_is_not_believed(case: str, ends: tuple[WorkerClient, socket.socket]) -> None:
    lie, reason = LIES[case]
    client, worker = ends
    worker.sendall(reply(1, OPENED) + lie)
    worker.shutdown(socket.SHUT_WR)
    client.open("c", "file")
    with pytest.raises(TargetError, match=reason) as caught:
        call(client)
    assert caught.value.hint
    with pytest.raises(TargetError, match="connection to the worker broke"):
        client.status()


def test_a_refusal_leaves_the_connection_open(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    refusal = struct.pack("<H", ErrorCode.NOT_OPEN) + text("c isn't open") + text("It was closed.")
    worker.sendall(reply(1, OPENED) + reply(2, refusal, Kind.ERROR) + reply(3, RESULT))
    client.open("c", "file")
    with pytest.raises(WorkerError, match="c isn't open") as caught:
        call(client)
    assert (caught.value.code, caught.value.why) == (ErrorCode.NOT_OPEN, "It was closed.")
    assert caught.value.exit_code == TargetError.exit_code
    assert call(client) is not None


def test_a_refused_hello_is_told_and_closes(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    refusal = struct.pack("<H", ErrorCode.REFUSED_TOKEN) + text("refused") + text("another token")
    worker.sendall(reply(1, refusal, Kind.ERROR))
    with pytest.raises(WorkerError, match="another token"):
        client.hello("0" * 64)
    assert worker.recv(1000)
    assert worker.recv(1) == b"", "the host's end is closed"


def test_another_protocol_is_refused(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    worker.sendall(reply(1, struct.pack("<H", 2) + text("1.29.0") + text("Android")))
    with pytest.raises(TargetError, match="speaks protocol 2, not 1"):
        client.hello("0" * 64)


def test_a_worker_that_refuses_in_the_middle_of_a_large_request_is_heard(
    ends: tuple[WorkerClient, socket.socket],
) -> None:
    client, worker = ends
    refusal = struct.pack("<H", ErrorCode.REFUSED_FRAME) + text("The request was refused") + text("too many")
    worker.sendall(reply(1, refusal, Kind.ERROR))
    worker.close()
    with pytest.raises(WorkerError, match="too many"):
        client.put("s", np.zeros(1 << 22, np.float32))


def test_a_component_must_be_open(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, _worker = ends
    with pytest.raises(WorkerError, match="c isn't open"):
        call(client)


def test_both_ends_and_the_document_count_alike() -> None:
    source = ROOT / "worker/src/common/io/github/qnnsd/worker/Protocol.java"
    java = {name: int(value) for name, value in re.findall(r"int (\w+) = (\d+);", source.read_text("utf-8"))}
    assert {kind.name: kind.value for kind in Kind}.items() <= java.items()
    assert {code.name: code.value for code in ErrorCode}.items() <= java.items()
    assert {f"PLACE_{place.name}": place.value for place in ComputeUnit}.items() <= java.items()
    assert (java["VERSION"], java["MAX_RANK"], java["MAX_STRING_BYTES"]) == (PROTOCOL, MAX_RANK, MAX_STRING_BYTES)
    assert f"MAX_BODY_BYTES = {MAX_BODY_BYTES >> 20}L << 20;" in source.read_text("utf-8")
    document = (ROOT / "docs" / "worker-protocol.md").read_text("utf-8")
    requests = {name: int(value) for value, name in re.findall(r"^\| (\d+) ([A-Z]+) \|", document, re.M)}
    assert requests == {kind.name: kind.value for kind in Kind if kind < Kind.OK}
    codes = [
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \| .* \| (?:ends|serves on) \|$", document, re.M)
        for code in row.split(",")
    ]
    assert codes == [code.value for code in ErrorCode]
