"""The host's client against workers that lie: nothing they say is believed before it is checked."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from conftest import ROOT

from qnn_sd.errors import TargetError
from qnn_sd.runner import Outputs
from qnn_sd.targets.adb.client import Phone, ShellResult
from qnn_sd.targets.adb.session.worker_session import WorkerSession
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.connection import WorkerError
from qnn_sd.targets.adb.worker.protocol import (
    HEADER,
    MAX_BODY_BYTES,
    MAX_RANK,
    MAX_STRING_BYTES,
    MAX_TENSORS,
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
INTEGERS = np.arange(2, dtype=np.int32)
INPUTS = struct.pack("<H", 1) + text("x") + shape(2, 3)
OUTPUTS = struct.pack("<H", 2) + text("y") + shape(2, 3) + text("z") + shape(2, dtype=2)
OPENED = struct.pack("<BQ", 1, 5) + INPUTS + OUTPUTS
TIMED = struct.pack("<QH", 9, 2) + text("y")
SECOND = text("z") + shape(2, dtype=2) + INTEGERS.tobytes()
RESULT = TIMED + shape(2, 3) + FLOATS.tobytes() + SECOND
Y_ALONE = struct.pack("<QH", 9, 1) + text("y") + shape(2, 3) + FLOATS.tobytes()


@pytest.fixture
def ends() -> Iterator[tuple[WorkerClient, socket.socket]]:
    """A client and the worker's end of its connection, where replies can lie before they are asked for."""
    host, worker = socket.socketpair()
    host.settimeout(60)
    yield WorkerClient(host), worker
    host.close()
    worker.close()


def call(client: WorkerClient) -> Outputs:
    return client.run("c", {"x": Slot("s")}).outputs


def test_an_honest_worker_is_believed(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    nothing = struct.pack("<QH", 9, 0)
    worker.sendall(reply(1, OPENED) + reply(2, RESULT) + reply(3, Y_ALONE) + reply(4, nothing))
    opened = client.open("c", "file")
    assert (opened.loaded, opened.load_nanoseconds, opened.inputs[0].name, opened.outputs[0].shape) == (
        True,
        5,
        "x",
        (2, 3),
    )
    assert [(spec.name, spec.dtype, spec.shape) for spec in opened.outputs] == [
        ("y", np.dtype("<f4"), (2, 3)),
        ("z", np.dtype("<i4"), (2,)),
    ]
    outputs = call(client)
    assert list(outputs) == ["y", "z"]
    np.testing.assert_array_equal(outputs["y"], FLOATS.reshape(2, 3), strict=True)
    np.testing.assert_array_equal(outputs["z"], INTEGERS, strict=True)
    [(name, output)] = client.run("c", {"x": Slot("s")}, keep={"z": Slot("kept")}).outputs.items()
    assert name == "y"
    np.testing.assert_array_equal(output, FLOATS.reshape(2, 3), strict=True)
    assert client.run("c", {"x": Slot("s")}, keep={"y": Slot("a"), "z": Slot("b")}).outputs == {}


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
    "fewer bytes than the shape": (reply(2, RESULT[:-1]), "runs past"),
    "more bytes than the shape": (reply(2, RESULT + b"!"), "1 bytes more"),
    "no output": (reply(2, struct.pack("<QH", 9, 0)), "0 outputs, where 2 were"),
    "fewer outputs than were asked for": (reply(2, Y_ALONE), "1 outputs, where 2 were"),
    "more outputs than there are": (reply(2, struct.pack("<QH", 9, 3) + RESULT[10:]), "3 outputs, where 2 were"),
    "another output's name": (reply(2, struct.pack("<QH", 9, 2) + text("w") + RESULT[13:]), "Output w came where y"),
    "outputs in another order": (reply(2, struct.pack("<QH", 9, 2) + SECOND), "Output z came where y"),
    "an empty reply": (reply(2, b""), "runs past"),
    "half a reply": (reply(2, RESULT)[:-3], "hung up after 61 of 64"),
    "half a header": (reply(2, RESULT)[:5], "hung up after 5 of 9"),
    "nothing": (b"", "It hung up"),
}


LARGE = struct.pack("<H", 64) + b"".join(text(f"y{number}") + shape(1 << 24) for number in range(64))
LIES_OF_A_COMPONENT = {
    "no output": (INPUTS + struct.pack("<H", 0), "0 inputs or outputs, where 1 to 64 can be"),
    "too many outputs": (INPUTS + struct.pack("<H", 65), "65 inputs or outputs, where 1 to 64"),
    "too many inputs": (struct.pack("<H", 65), "65 inputs or outputs, where 0 to 64"),
    "two outputs of one name": (INPUTS + struct.pack("<H", 2) + 2 * (text("y") + shape(1)), "the same name"),
    "outputs that are too large together": (INPUTS + LARGE, "4,294,967,296 bytes"),
    "fewer outputs than it says": (INPUTS + struct.pack("<H", 2) + text("y") + shape(1), "runs past"),
}


@pytest.mark.parametrize("case", LIES_OF_A_COMPONENT)
def test_a_component_that_cannot_be_is_not_believed(case: str, ends: tuple[WorkerClient, socket.socket]) -> None:
    lie, reason = LIES_OF_A_COMPONENT[case]
    client, worker = ends
    worker.sendall(reply(1, struct.pack("<BQ", 1, 5) + lie))
    with pytest.raises(TargetError, match=reason):
        client.open("c", "file")
    assert client.closed


GUIDED = struct.pack("<B3QH", 2, 7, 8, 1, 2) + RESULT[10:]


def guided(client: WorkerClient, *passes: dict[str, Slot]) -> Outputs:
    return client.guided("c", {}, passes, 2.0).outputs


def test_a_guided_reply_has_each_output_and_the_times_of_each_pass(ends: tuple[WorkerClient, socket.socket]) -> None:
    client, worker = ends
    worker.sendall(reply(1, OPENED) + reply(2, GUIDED) + reply(3, b"\x01" + GUIDED[1:]))
    client.open("c", "file")
    passes = [{"x": Slot("0")}, {"x": Slot("1")}]
    result = client.guided("c", {}, passes, 2.0)
    assert (result.pass_nanoseconds, result.combination_nanoseconds) == ((7, 8), 1)
    np.testing.assert_array_equal(result.outputs["y"], FLOATS.reshape(2, 3), strict=True)
    np.testing.assert_array_equal(result.outputs["z"], INTEGERS, strict=True)
    with pytest.raises(TargetError, match="2 passes were asked for"):
        guided(client, *passes)
    assert client.closed


@pytest.mark.parametrize(
    ("shared", "passes", "reason"),
    [
        ({}, [], "0 passes"),
        ({}, [{"x": Slot("s")}] * 3, "3 passes"),
        ({}, [{"x": Slot("s")}, {"y": Slot("s")}], "one pass alone: x, y"),
        ({}, [{"x": Slot("s")}, {}], "one pass alone: x"),
        ({"x": Slot("t")}, [{"x": Slot("s")}] * 2, "shared and differ: x"),
        ({}, [{f"x{number}": Slot("s") for number in range(65)}] * 2, "at most 64"),
        ({f"x{number}": Slot("s") for number in range(65)}, [{}], "at most 64"),
    ],
)
def test_passes_that_do_not_fit_together_are_refused_here(
    shared: dict[str, Slot], passes: list[dict[str, Slot]], reason: str, ends: tuple[WorkerClient, socket.socket]
) -> None:
    client, worker = ends
    worker.sendall(reply(1, OPENED) + reply(2, RESULT))
    client.open("c", "file")
    with pytest.raises(TargetError, match=reason):
        client.guided("c", shared, passes, 2.0)
    # Nothing was sent: the next request is answered.
    assert list(call(client)) == ["y", "z"]


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
    assert list(call(client)) == ["y", "z"]


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
    worker.sendall(reply(1, struct.pack("<H", 1) + text("1.29.0") + text("Android")))
    with pytest.raises(TargetError, match="speaks protocol 1, not 2") as caught:
        client.hello("0" * 64)
    assert "qnn-sd unstage" in caught.value.hint
    assert client.closed


class OtherWorker:
    """A phone, and the worker that starts on it: one of another protocol."""

    serial = "phone"

    def shell(self, _command: str) -> ShellResult:
        return ShellResult(0, b"", b"")

    def start(self, _command: str) -> OtherWorker:
        return self

    def write(self, _data: bytes) -> None:
        """Takes the token."""

    def line(self) -> str:
        return f"ready {PROTOCOL + 1} 77"

    def await_log(self) -> None:
        """Nothing comes."""

    def log(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing to close."""


def test_a_worker_that_starts_with_another_protocol_is_not_spoken_to() -> None:
    session = WorkerSession(cast(Phone, OtherWorker()), "worker.jar", "libs", "a test", cold=True)
    with pytest.raises(TargetError, match="doesn't start on phone") as caught, session:
        pass
    assert caught.value.why == f"It speaks protocol {PROTOCOL + 1}, not {PROTOCOL}."


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
    assert {f"UNIT_{unit.name}": unit.value for unit in ComputeUnit}.items() <= java.items()
    assert (java["VERSION"], java["MAX_RANK"], java["MAX_STRING_BYTES"]) == (PROTOCOL, MAX_RANK, MAX_STRING_BYTES)
    assert java["MAX_TENSORS"] == MAX_TENSORS
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
