"""Components with several outputs and several inputs that differ between guidance passes, on the worker on a JVM."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import quantized, two_outputs, two_outputs_feeds, two_outputs_passes
from onnx import TensorProto, helper
from worker_process import FOLDER, HTP, PROFILE, WorkerProcess, assert_frame_refused, hello, make_phone, named, raw

from qnn_sd.compile import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.targets import EmulatorRunner
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.connection import WorkerConnection, WorkerError
from qnn_sd.targets.adb.worker.protocol import HEADER, ComputeUnit, ErrorCode, Kind, Slot

GUIDANCE = 7.3
MODELS = Path("../models")


def write_model(
    path: Path,
    inputs: Mapping[str, tuple[int, tuple[int, ...]]],
    outputs: Mapping[str, tuple[int, tuple[int, ...]]],
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto] | None = None,
) -> None:
    """Writes a graph; inputs and outputs have an element type and a shape each."""
    ends = [
        [helper.make_tensor_value_info(name, dtype, shape) for name, (dtype, shape) in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "test", *ends, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def write_copies(path: Path, outputs: list[str], shape: tuple[int, ...]) -> None:
    """A graph whose input i comes back negated as output i; the last output as int32."""
    sources = [f"{name}-in" for name in outputs]
    dtypes = [TensorProto.FLOAT] * (len(outputs) - 1) + [TensorProto.INT32]
    write_model(
        path,
        {name: (dtype, shape) for name, dtype in zip(sources, dtypes, strict=True)},
        {name: (dtype, shape) for name, dtype in zip(outputs, dtypes, strict=True)},
        [helper.make_node("Neg", [source], [name]) for source, name in zip(sources, outputs, strict=True)],
    )


def write_identities(path: Path, inputs: int, outputs: int) -> None:
    """A graph of so many inputs and outputs of one element."""
    one = (TensorProto.FLOAT, (1,))
    nodes = [helper.make_node("Identity", [f"x{number % inputs}"], [f"y{number}"]) for number in range(outputs)]
    write_model(
        path,
        {f"x{number}": one for number in range(inputs)},
        {f"y{number}": one for number in range(outputs)},
        nodes,
    )


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phone's / with the libraries, a context binary of two outputs, and small graphs for the CPU."""
    root = tmp_path_factory.mktemp("phone")
    make_phone(root)
    models = root / FOLDER / "models"
    compiled = models / "two_outputs"
    compiled.mkdir(parents=True)
    qdq = quantized(two_outputs, two_outputs_feeds(1), tmp_path_factory.mktemp("two_outputs"))
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, 3, compiled)
    write_copies(models / "copies.onnx", ["first", "second", "third"], (2, 3))
    return root


@pytest.fixture(scope="module")
def emulator(phone: Path) -> EmulatorRunner:
    """The reference: this process's own emulator."""
    file = phone / FOLDER / "models" / "two_outputs" / CONTEXT_FILE
    runner = EmulatorRunner(lambda _name: file, PROFILE.soc_model, PROFILE.htp_arch)
    runner.load("it")
    return runner


@pytest.fixture(scope="module")
def client(phone: Path) -> Iterator[WorkerClient]:
    """With ``two_outputs`` open on the HTP and ``copies`` on the CPU."""
    with WorkerProcess(phone) as worker:
        opened = worker.client()
        opened.open("two_outputs", str(MODELS / "two_outputs" / CONTEXT_FILE), options=HTP)
        opened.open("copies", str(MODELS / "copies.onnx"), unit=ComputeUnit.CPU)
        yield opened


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, output in expected.items():
        np.testing.assert_array_equal(found[name], output, strict=True)


def copies_feeds(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    floats = {f"{name}-in": rng.standard_normal((2, 3), np.float32) for name in ("first", "second")}
    return {**floats, "third-in": rng.integers(-9, 9, (2, 3), np.int32)}


def put_passes(client: WorkerClient, passes: list[dict[str, np.ndarray]]) -> list[dict[str, Slot]]:
    """Puts each differing input of each pass into a slot."""
    slots = [{name: Slot(f"{name} of {number}") for name in each} for number, each in enumerate(passes)]
    for slot, each in zip(slots, passes, strict=True):
        for name, value in each.items():
            client.put(slot[name].name, value)
    return slots


# What is computed


def test_inputs_and_outputs_are_told_in_the_graphs_order(client: WorkerClient) -> None:
    opened = client.opened("two_outputs")
    assert {(spec.name, spec.shape) for spec in opened.inputs} == {
        ("sample", (1, 8, 16, 16)),
        ("condition", (1, 16, 16, 16)),
        ("scale", (1, 16, 1, 1)),
    }
    assert [(spec.name, spec.shape) for spec in opened.outputs] == [
        ("noise", (1, 8, 16, 16)),
        ("residual", (1, 16, 16, 16)),
    ]


def test_all_outputs_are_the_emulators(client: WorkerClient, emulator: EmulatorRunner) -> None:
    feeds = two_outputs_feeds(1)
    assert_same(client.run("two_outputs", feeds).outputs, emulator.run("it", feeds))


def test_each_output_is_combined_as_numpy_does(client: WorkerClient, emulator: EmulatorRunner) -> None:
    shared, passes = {"sample": two_outputs_feeds(1)["sample"]}, two_outputs_passes(2)
    first, second = (emulator.run("it", {**shared, **each}) for each in passes)
    expected = {name: first[name] + np.float32(GUIDANCE) * (second[name] - first[name]) for name in first}
    slots = put_passes(client, passes)
    both = client.guided("two_outputs", shared, slots, GUIDANCE)
    assert_same(both.outputs, expected)
    assert (len(both.pass_nanoseconds), both.combination_nanoseconds > 0) == (2, True)
    assert_same(emulator.run_guided("it", shared, passes, GUIDANCE), expected)
    alone = client.guided("two_outputs", shared, slots[:1], GUIDANCE)
    assert_same(alone.outputs, first)
    assert (len(alone.pass_nanoseconds), alone.combination_nanoseconds) == (1, 0)
    # What differs between the passes may be one of the inputs, all of them, or none.
    some = client.guided(
        "two_outputs",
        {**shared, "scale": passes[0]["scale"]},
        [{"condition": slot["condition"]} for slot in slots],
        GUIDANCE,
    )
    third = emulator.run("it", {**shared, **passes[1], "scale": passes[0]["scale"]})
    assert_same(
        some.outputs, {name: first[name] + np.float32(GUIDANCE) * (third[name] - first[name]) for name in first}
    )
    none = client.guided("two_outputs", {**shared, **passes[0]}, [{}], GUIDANCE)
    assert_same(none.outputs, first)


def test_kept_outputs_stay_and_the_others_come_back(client: WorkerClient, emulator: EmulatorRunner) -> None:
    feeds = two_outputs_feeds(1)
    once = emulator.run("it", feeds)
    kept = client.run("two_outputs", feeds, keep={"residual": Slot("kept")})
    assert_same(kept.outputs, {"noise": once["noise"]})
    again = client.run("two_outputs", {**feeds, "condition": Slot("kept")})
    assert_same(again.outputs, emulator.run("it", {**feeds, "condition": once["residual"]}))
    # Kept ones can be one pass's own.
    client.put("other", feeds["condition"])
    shared = {"sample": feeds["sample"], "scale": feeds["scale"]}
    passes = [{"condition": Slot("other")}, {"condition": Slot("kept")}]
    values = [{"condition": feeds["condition"]}, {"condition": once["residual"]}]
    guided = client.guided("two_outputs", shared, passes, GUIDANCE)
    assert_same(guided.outputs, emulator.run_guided("it", shared, values, GUIDANCE))
    both = client.run("two_outputs", feeds, keep={"residual": Slot("kept"), "noise": Slot("noise")})
    assert both.outputs == {}
    chained = client.run("two_outputs", {**feeds, "sample": Slot("noise")})
    assert_same(chained.outputs, emulator.run("it", {**feeds, "sample": once["noise"]}))


def test_dtypes_of_outputs_are_their_own(client: WorkerClient) -> None:
    feeds = copies_feeds(1)
    expected = {name.removesuffix("-in"): -value for name, value in feeds.items()}
    assert_same(client.run("copies", feeds).outputs, expected)
    alone = client.guided("copies", feeds, [{}], GUIDANCE)
    assert_same(alone.outputs, expected)
    with pytest.raises(WorkerError, match="Guidance needs float32 outputs") as caught:
        client.guided("copies", feeds, [{}, {}], GUIDANCE)
    assert (caught.value.code, "third INT32[2, 3]" in caught.value.why) == (ErrorCode.BAD_INPUT, True)


def test_large_outputs_pass_through_the_reply_in_pieces(client: WorkerClient, phone: Path) -> None:
    """The worker's buffer has 512 KiB: heads and tensors lie across its end, at odd places."""
    write_copies(phone / FOLDER / "models" / "large.onnx", ["a", "bc", "def", "ghij"], (3, 43_691))
    client.open("large", str(MODELS / "large.onnx"), unit=ComputeUnit.CPU)
    rng = np.random.default_rng(7)
    feeds: dict[str, np.ndarray] = {
        f"{name}-in": rng.standard_normal((3, 43_691), np.float32) for name in ("a", "bc", "def")
    }
    feeds["ghij-in"] = rng.integers(-9, 9, (3, 43_691), np.int32)
    expected = {name.removesuffix("-in"): -value for name, value in feeds.items()}
    assert_same(client.run("large", feeds).outputs, expected)
    rest = client.run("large", feeds, keep={"bc": Slot("large")}).outputs
    assert_same(rest, {name: output for name, output in expected.items() if name != "bc"})
    client.close("large")


def test_as_many_and_as_long_names_as_there_can_be(client: WorkerClient, phone: Path) -> None:
    names = [f"{number:02}{'終' * 995}" for number in range(64)]
    write_copies(phone / FOLDER / "models" / "names.onnx", names, (1,))
    opened = client.open("names", str(MODELS / "names.onnx"), unit=ComputeUnit.CPU)
    assert [spec.name for spec in opened.outputs] == names
    assert {spec.name for spec in opened.inputs} == {f"{name}-in" for name in names}
    feeds = {f"{name}-in": np.full(1, number, np.float32) for number, name in enumerate(names)}
    feeds[f"{names[-1]}-in"] = np.full(1, 63, np.int32)
    found = client.run("names", feeds).outputs
    assert [(name, float(output[0])) for name, output in found.items()] == [
        (name, -number) for number, name in enumerate(names)
    ]
    client.close("names")


# What is refused


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [(65, 1, "65 inputs.*at most 64"), (1, 65, "65 outputs.*1 to 64")],
)
def test_too_many_inputs_or_outputs_are_not_loaded(
    inputs: int, outputs: int, reason: str, client: WorkerClient, phone: Path
) -> None:
    write_identities(phone / FOLDER / "models" / "many.onnx", inputs, outputs)
    with pytest.raises(WorkerError, match=f"(?s){reason}") as caught:
        client.open("many", str(MODELS / "many.onnx"), unit=ComputeUnit.CPU)
    assert caught.value.code == ErrorCode.LOAD_FAILED
    write_identities(phone / FOLDER / "models" / "many.onnx", 64, 64)
    assert len(client.open("many", str(MODELS / "many.onnx"), unit=ComputeUnit.CPU).outputs) == 64
    client.close("many")


def test_outputs_that_no_reply_can_hold_together_are_not_loaded(client: WorkerClient, phone: Path) -> None:
    shape = (2, 40 << 20)  # 320 MiB each
    size = onnx.numpy_helper.from_array(np.array(shape, np.int64), "size")
    write_model(
        phone / FOLDER / "models" / "huge.onnx",
        {"x": (TensorProto.FLOAT, (1,))},
        dict.fromkeys(("y", "z"), (TensorProto.FLOAT, shape)),
        [helper.make_node("Expand", ["x", "size"], [name]) for name in ("y", "z")],
        [size],
    )
    with pytest.raises(WorkerError, match="outputs of huge are too large for one reply") as caught:
        client.open("huge", str(MODELS / "huge.onnx"), unit=ComputeUnit.CPU)
    assert (caught.value.code, "536870912" in caught.value.why) == (ErrorCode.LOAD_FAILED, True)


def given(feeds: Mapping[str, Slot]) -> bytes:
    """Inputs in slots, as RUN and GUIDED have them."""
    pairs = [named(name.encode()) + b"\x01" + named(slot.name.encode()) for name, slot in feeds.items()]
    return struct.pack("<H", len(feeds)) + b"".join(pairs)


COPIES = {f"{name}-in": Slot(name) for name in ("first", "second", "third")}
CALL = named(b"copies") + given(COPIES)


def keep(*pairs: tuple[str, str]) -> bytes:
    """Kept outputs, as RUN has them; a name may come twice."""
    return struct.pack("<H", len(pairs)) + b"".join(named(part.encode()) for pair in pairs for part in pair)


def guided(shared: list[str], passes: int, *differing: tuple[str, ...]) -> bytes:
    """The body of GUIDED; differing inputs have a name and a slot for each pass."""
    inputs = {name: COPIES[name] for name in shared}
    names = b"".join(named(part.encode()) for each in differing for part in each)
    return named(b"copies") + given(inputs) + struct.pack("<BH", passes, len(differing)) + names + struct.pack("<f", 2)


TWO, FIRST = ["second-in", "third-in"], ("first-in", "first", "second")
BAD_INPUTS = {
    "an unknown output": (Kind.RUN, CALL + keep(("fourth", "s")), "copies has no output fourth"),
    "an output without a name": (Kind.RUN, CALL + keep(("", "s")), "copies has no output "),
    "an output kept twice": (Kind.RUN, CALL + keep(("first", "s"), ("first", "t")), "first is kept twice"),
    "an output kept twice in a slot": (Kind.RUN, CALL + keep(("first", "s"), ("first", "s")), "first is kept twice"),
    "two outputs in a slot": (Kind.RUN, CALL + keep(("first", "s"), ("second", "s")), "Slot s is to keep two outputs"),
    "a slot that is both": (Kind.RUN, CALL + keep(("first", "t"), ("second", "first")), "is input and output"),
    "a slot of another dtype": (Kind.GUIDED, guided(TWO, 2, ("first-in", "first", "third")), "INT32.2, 3. doesn't fit"),
    "a slot of another shape": (Kind.GUIDED, guided(TWO, 2, ("first-in", "small", "first")), "FLOAT32.3. doesn't fit"),
    "a slot that isn't there": (Kind.GUIDED, guided(TWO, 2, ("first-in", "first", "none")), "no slot none"),
    "an input that is shared and differs": (Kind.GUIDED, guided([*TWO, "first-in"], 2, FIRST), "given twice"),
    "an input that differs twice": (Kind.GUIDED, guided(TWO, 2, FIRST, FIRST), "first-in is given twice"),
    "an unknown input that differs": (Kind.GUIDED, guided(TWO, 2, FIRST, ("x", "s", "t")), "copies has no input x"),
    "an input that is in no pass": (Kind.GUIDED, guided(TWO, 2), "first-in FLOAT32.2, 3. is missing"),
    "a shared input that is missing": (Kind.GUIDED, guided(TWO[:1], 2, FIRST), "third-in INT32.2, 3. is missing"),
}  # fmt: skip
BROKEN = {
    "too many inputs": (Kind.RUN, named(b"copies") + struct.pack("<H", 65), "65 inputs or outputs are over"),
    "too many kept outputs": (Kind.RUN, CALL + struct.pack("<H", 65), "65 inputs or outputs are over"),
    "the largest number of kept outputs": (Kind.RUN, CALL + b"\xff\xff", "65535 inputs or outputs are over"),
    "no number of kept outputs": (Kind.RUN, CALL, "runs past its frame"),
    "fewer kept outputs than it says": (Kind.RUN, CALL + struct.pack("<H", 1), "runs past its frame"),
    "bytes after the kept outputs": (Kind.RUN, CALL + keep(("first", "s")) + b"!", "1 bytes more"),
    "an unknown source": (Kind.RUN, CALL.replace(b"\x01\x05", b"\x02\x05", 1), "no source 2"),
    "no pass": (Kind.GUIDED, guided(TWO, 0, FIRST), "one or two passes, not 0"),
    "three passes": (Kind.GUIDED, guided(TWO, 3, (*FIRST, "third")), "one or two passes, not 3"),
    "too many differing inputs": (Kind.GUIDED, CALL + struct.pack("<BH", 2, 65), "65 inputs or outputs are over"),
    "a slot for one of two passes": (Kind.GUIDED, guided(TWO, 2, FIRST[:2])[:-4], "runs past its frame"),
    "slots for three of two passes": (Kind.GUIDED, guided(TWO, 2, (*FIRST, "third")), "7 bytes more"),
    "no guidance": (Kind.GUIDED, guided(TWO, 2, FIRST)[:-4], "runs past its frame"),
    "bytes after the guidance": (Kind.GUIDED, guided(TWO, 2, FIRST) + b"!", "1 bytes more"),
}  # fmt: skip


@pytest.fixture
def copies(client: WorkerClient) -> dict[str, np.ndarray]:
    """The inputs of ``copies``, which lie in their slots."""
    feeds = copies_feeds(1)
    for name, slot in COPIES.items():
        client.put(slot.name, feeds[name])
    client.put("small", np.zeros(3, np.float32))
    return feeds


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    case: str, client: WorkerClient, copies: dict[str, np.ndarray]
) -> None:
    kind, body, reason = BAD_INPUTS[case]
    connection = client._connection
    connection.last_id += 1
    connection._socket.sendall(raw(kind, body, connection.last_id))
    with pytest.raises(WorkerError, match=reason) as caught:
        connection.reply(10_000)
    assert caught.value.code == ErrorCode.BAD_INPUT
    expected = {name.removesuffix("-in"): -value for name, value in copies.items()}
    assert_same(client.run("copies", COPIES).outputs, expected)
    for slot in ("s", "t"):
        with pytest.raises(WorkerError, match=f"no slot {slot}"):
            client.run("copies", {**COPIES, "first-in": Slot(slot)})


@pytest.mark.parametrize("case", BROKEN)
def test_frames_that_break_the_protocol_end_the_worker(case: str, phone: Path) -> None:
    kind, body, reason = BROKEN[case]
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        connection.sendall(hello(worker.token))
        replies = WorkerConnection(connection)
        replies.last_id = 1
        replies.reply(1000)
        opening = (
            named(b"copies") + named(str(MODELS / "copies.onnx").encode()) + struct.pack("<BH", ComputeUnit.CPU, 0)
        )
        requests = [raw(Kind.OPEN, opening)]
        for name, slot in COPIES.items():
            head = struct.pack("<BBII", 2 if name == "third-in" else 1, 2, 2, 3)
            requests.append(raw(Kind.PUT, named(slot.name.encode()) + head + bytes(24), len(requests) + 2))
        for request in requests:
            connection.sendall(request)
            replies.last_id = HEADER.unpack(request[: HEADER.size])[1]
            replies.reply(1000)
        replies.last_id += 1
        connection.sendall(raw(kind, body, replies.last_id))
        assert_frame_refused(worker, connection, replies, reason)
