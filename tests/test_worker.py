"""The phone's worker on a JVM: what it computes, what it keeps, what it refuses, how it ends."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import quantized
from worker_process import (
    FOLDER,
    HANGS_SECONDS,
    HTP,
    PROFILE,
    WorkerProcess,
    assert_frame_refused,
    hello,
    make_phone,
    named,
    raw,
)

from qnn_sd.compile import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.errors import TargetError
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.runner import only_output
from qnn_sd.targets import CpuRunner, EmulatorRunner
from qnn_sd.targets.adb.worker.body import Body
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.connection import WorkerConnection, WorkerError
from qnn_sd.targets.adb.worker.protocol import HEADER, ComputeUnit, ErrorCode, Kind, Opened, Slot

CONTEXT = str(Path("../models/denoiser") / CONTEXT_FILE)
QDQ = str(Path("../models/qdq") / MODEL_FILE)
SHAPE, CONDITION = (1, 8, 16, 16), (1, 16, 16, 16)


def denoiser(g: Graph) -> None:
    """As a UNet for the worker: a sample, a condition that guidance changes, one output like the sample."""
    weights = RandomTensors(3)
    x = conv(g, weights, "first", g.input("sample", SHAPE), CONDITION[1])
    x = g.node("Add", [x, g.input("condition", CONDITION)], CONDITION)
    g.output(conv(g, weights, "second", x, SHAPE[1]), "y")


def table(g: Graph) -> None:
    """As a text encoder for the worker: int32 tokens, a row of a table each."""
    ids = g.input("input_ids", (1, 7), 6)
    rows = g.constant("table", np.random.default_rng(4).standard_normal((50, 16), np.float32))
    g.output(g.node("Gather", [rows, ids], (1, 7, 16), axis=0), "y")


def remainder(g: Graph) -> None:
    """What the HTP doesn't take."""
    x = g.input("x", (1, 4))
    g.output(g.node("Mod", [x, g.constant("by", np.ones(4, np.float32))], (1, 4), fmod=1), "y")


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "sample": rng.standard_normal(SHAPE, np.float32),
        "condition": rng.standard_normal(CONDITION, np.float32),
    }


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory, feeds: dict[str, np.ndarray]) -> Path:
    """A phone's / with the libraries, a context binary, its QDQ graph and a float graph."""
    root = tmp_path_factory.mktemp("phone")
    make_phone(root)
    models = root / FOLDER / "models"
    compiled = models / "denoiser"
    compiled.mkdir(parents=True)
    qdq = quantized(denoiser, feeds, tmp_path_factory.mktemp("denoiser"))
    compile_component(qdq, PROFILE.soc_model, PROFILE.htp_arch, 3, compiled)
    shutil.copytree(qdq, models / "qdq")
    (models / "table").mkdir()
    with Graph("table", models / "table") as g:
        table(g)
    (models / "remainder").mkdir()
    with Graph("remainder", models / "remainder") as g:
        remainder(g)
    return root


@pytest.fixture(scope="module")
def worker(phone: Path) -> Iterator[WorkerProcess]:
    """One worker for what doesn't end it."""
    with WorkerProcess(phone) as process:
        yield process


@pytest.fixture(scope="module")
def client(worker: WorkerProcess) -> WorkerClient:
    return worker.client()


def open_denoiser(client: WorkerClient) -> Opened:
    return client.open("denoiser", CONTEXT, options=HTP)


def emulated(phone: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The reference: this process's own emulator."""
    file = phone / FOLDER / "models" / "denoiser" / CONTEXT_FILE
    runner = EmulatorRunner(lambda _name: file, PROFILE.soc_model, PROFILE.htp_arch)
    runner.load("denoiser")
    return only_output("denoiser", runner.run("denoiser", feeds))


def on_cpu(file: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    runner = CpuRunner(lambda _name: file)
    runner.load("it")
    return only_output("it", runner.run("it", feeds))


def test_it_says_that_it_is_ready(worker: WorkerProcess, client: WorkerClient) -> None:
    assert worker.first_line == f"ready 2 {worker.process.pid}\n"


def test_the_htp_gives_what_the_emulator_gives(client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]) -> None:
    opened = open_denoiser(client)
    assert {(spec.name, spec.dtype, spec.shape) for spec in opened.inputs} == {
        ("sample", np.dtype(np.float32), SHAPE),
        ("condition", np.dtype(np.float32), CONDITION),
    }
    assert [(spec.name, spec.dtype, spec.shape) for spec in opened.outputs] == [("y", np.dtype(np.float32), SHAPE)]
    assert opened.load_nanoseconds > 0
    result = client.run("denoiser", feeds)
    assert result.nanoseconds > 0
    np.testing.assert_array_equal(only_output("denoiser", result.outputs), emulated(phone, feeds), strict=True)


def test_the_cpu_gives_what_the_cpu_gives(client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]) -> None:
    client.open("qdq", QDQ, unit=ComputeUnit.CPU, options={"threads": "1"})
    expected = on_cpu(phone / FOLDER / "models" / "qdq" / MODEL_FILE, feeds)
    np.testing.assert_array_equal(client.run("qdq", feeds).outputs["y"], expected, strict=True)
    client.close("qdq")


def test_int32_and_a_path_from_the_phones_root(client: WorkerClient, phone: Path) -> None:
    file = Path("/") / FOLDER / "models" / "table" / MODEL_FILE
    client.open("table", str(file), unit=ComputeUnit.CPU)
    tokens = {"input_ids": np.array([[49, 0, 3, 3, 2, 1, 48]], np.int32)}
    expected = on_cpu(phone / FOLDER / "models" / "table" / MODEL_FILE, tokens)
    np.testing.assert_array_equal(client.run("table", tokens).outputs["y"], expected, strict=True)
    client.close("table")


def test_inputs_may_come_in_any_order_and_memory_layout(
    client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]
) -> None:
    open_denoiser(client)
    turned = {name: np.asfortranarray(feeds[name]) for name in reversed(feeds)}
    np.testing.assert_array_equal(client.run("denoiser", turned).outputs["y"], emulated(phone, feeds))


def test_a_second_open_loads_nothing(client: WorkerClient) -> None:
    client.close("denoiser")
    first, second = open_denoiser(client), open_denoiser(client)
    assert (first.loaded, second.loaded) == (True, False)
    assert first.load_nanoseconds == second.load_nanoseconds
    assert first.outputs == second.outputs


def test_another_file_under_an_open_name_is_refused(client: WorkerClient) -> None:
    open_denoiser(client)
    with pytest.raises(WorkerError, match="open already"):
        client.open("denoiser", QDQ, options=HTP)


def test_slots_stand_for_tensors(client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]) -> None:
    open_denoiser(client)
    expected = emulated(phone, feeds)
    client.put("condition", np.zeros(CONDITION, np.float32))
    client.put("condition", feeds["condition"])
    kept = {**feeds, "condition": Slot("condition")}
    for _time in range(2):
        np.testing.assert_array_equal(client.run("denoiser", kept).outputs["y"], expected)
    client.drop("condition")
    with pytest.raises(WorkerError, match="no slot condition"):
        client.run("denoiser", kept)
    client.drop("condition")


def test_an_output_can_stay_in_a_slot(client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]) -> None:
    open_denoiser(client)
    result = client.run("denoiser", feeds, keep={"y": Slot("latent")})
    assert result.outputs == {}
    chained = client.run("denoiser", {**feeds, "sample": Slot("latent")})
    once = emulated(phone, feeds)
    np.testing.assert_array_equal(chained.outputs["y"], emulated(phone, {**feeds, "sample": once}))
    with pytest.raises(WorkerError, match="input and output"):
        client.run("denoiser", {**feeds, "sample": Slot("latent")}, keep={"y": Slot("latent")})
    # What was refused has changed nothing.
    np.testing.assert_array_equal(
        client.run("denoiser", {**feeds, "sample": Slot("latent")}).outputs["y"], chained.outputs["y"]
    )


def test_guidance_is_numpys(client: WorkerClient, phone: Path, feeds: dict[str, np.ndarray]) -> None:
    open_denoiser(client)
    rng = np.random.default_rng(6)
    conditions = [rng.standard_normal(CONDITION, np.float32) for _pass in range(2)]
    slots = [{"condition": Slot(f"pass {number}")} for number in range(2)]
    for slot, condition in zip(slots, conditions, strict=True):
        client.put(slot["condition"].name, condition)
    sample = {"sample": feeds["sample"]}
    passes = [emulated(phone, {**sample, "condition": condition}) for condition in conditions]
    guidance = 7.3
    expected = passes[0] + np.float32(guidance) * (passes[1] - passes[0])
    both = client.guided("denoiser", sample, slots, guidance)
    np.testing.assert_array_equal(both.outputs["y"], expected, strict=True)
    assert len(both.pass_nanoseconds) == 2
    assert both.combination_nanoseconds > 0
    alone = client.guided("denoiser", sample, slots[:1], guidance)
    np.testing.assert_array_equal(alone.outputs["y"], passes[0], strict=True)
    assert len(alone.pass_nanoseconds) == 1
    assert alone.combination_nanoseconds == 0


def test_a_component_is_freed(client: WorkerClient, feeds: dict[str, np.ndarray]) -> None:
    open_denoiser(client)
    client.close("denoiser")
    client.close("denoiser")
    with pytest.raises(WorkerError, match="isn't open"):
        client.run("denoiser", feeds)
    assert open_denoiser(client).loaded


def test_a_missing_file_is_told(client: WorkerClient) -> None:
    with pytest.raises(WorkerError, match=r"There is no file \.\./models/none\.onnx") as caught:
        client.open("none", "../models/none.onnx", options=HTP)
    assert caught.value.code == ErrorCode.NO_FILE


@pytest.mark.parametrize(
    ("option", "what"),
    [("plugin", "The QNN plugin can't be loaded"), ("backend_path", "The QNN backend can't be loaded")],
)
def test_a_missing_library_is_told(option: str, what: str, phone: Path) -> None:
    with WorkerProcess(phone) as worker, pytest.raises(WorkerError, match=what) as caught:
        worker.client().open("denoiser", CONTEXT, options={**HTP, option: "libNone.so"})
    assert caught.value.code == ErrorCode.NO_FILE
    assert "libNone.so" in caught.value.why


@pytest.mark.parametrize(
    ("options", "why"), [({"soc_model": "57"}, r"CPU has no option \[soc_model\]"), ({"threads": "two"}, "two")]
)
def test_options_that_do_not_fit_are_told(options: dict[str, str], why: str, client: WorkerClient) -> None:
    with pytest.raises(WorkerError, match=why):
        client.open("qdq", QDQ, unit=ComputeUnit.CPU, options=options)


def test_a_file_that_is_no_model_is_told(client: WorkerClient, phone: Path) -> None:
    (phone / FOLDER / "models" / "noise.onnx").write_bytes(b"noise" * 100)
    with pytest.raises(WorkerError, match=r"noise can't be loaded") as caught:
        client.open("noise", "../models/noise.onnx", unit=ComputeUnit.CPU)
    assert caught.value.code == ErrorCode.LOAD_FAILED
    assert caught.value.why


def test_nothing_falls_back_to_the_cpu_unsaid(client: WorkerClient) -> None:
    with pytest.raises(WorkerError, match="fallback to CPU EP has been explicitly disabled") as caught:
        client.open("remainder", "../models/remainder/model.onnx", options=HTP)
    assert caught.value.code == ErrorCode.LOAD_FAILED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sample": None}, "sample .* is missing"),
        ({"sample": np.zeros((1, 8, 16, 15), np.float32)}, r"\[1, 8, 16, 15\] doesn't fit"),
        ({"sample": np.zeros(SHAPE, np.int32)}, "INT32.* doesn't fit"),
        ({"other": np.zeros(SHAPE, np.float32)}, "has no input other"),
    ],
)
def test_inputs_that_do_not_fit(
    change: dict[str, np.ndarray | None], reason: str, client: WorkerClient, feeds: dict[str, np.ndarray]
) -> None:
    open_denoiser(client)
    given = {name: value for name, value in {**feeds, **change}.items() if value is not None}
    with pytest.raises(WorkerError, match=reason) as caught:
        client.run("denoiser", given)
    assert caught.value.code == ErrorCode.BAD_INPUT


def test_what_does_not_travel_is_refused_here(client: WorkerClient) -> None:
    for array in (np.zeros(3), np.zeros(3, np.uint16), np.zeros(0, np.float32), np.zeros((1,) * 9, np.float32)):
        with pytest.raises(TargetError, match="can't be sent"):
            client.put("slot", array)
    with pytest.raises(TargetError, match="too long"):
        client.drop("x" * 5000)


def test_status_reads_memory_heat_and_battery(client: WorkerClient, phone: Path) -> None:
    files = {
        "class/thermal/thermal_zone0/type": "cpuss-0\n",
        "class/thermal/thermal_zone0/temp": "41300\n",
        "class/thermal/thermal_zone1/type": "nsphvx-0\n",
        "class/thermal/thermal_zone1/temp": "-500\n",
        "class/thermal/thermal_zone2/type": "broken\n",
        "class/thermal/thermal_zone2/temp": "none\n",
        "class/power_supply/battery/capacity": "87\n",
        "class/power_supply/battery/temp": "312\n",
    }
    assert client.status().battery is None
    for name, text in files.items():
        path = phone / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    status = client.status()
    assert 0 < status.resident_bytes <= status.peak_bytes
    assert [zone.name for zone in status.zones] == ["cpuss-0", "nsphvx-0"]
    assert [zone.degrees for zone in status.zones] == pytest.approx([41.3, -0.5])
    assert status.battery is not None
    assert status.battery.percent == 87
    assert status.battery.degrees == pytest.approx(31.2)


def test_bye_ends_it(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        client = worker.client()
        open_denoiser(client)
        client.bye()
        assert worker.ended()[0] == 0


def test_a_host_that_hangs_up_ends_it(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        WorkerClient(connection).hello(worker.token)
        connection.close()
        assert worker.ended()[0] == 0


def test_stdins_end_ends_it_before_a_host_came(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        worker.release()
        code, log = worker.ended()
        assert code == 0
        assert "failed" not in log


def test_stdins_end_ends_it_while_it_waits(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        client = worker.client()
        worker.release()
        assert worker.ended()[0] == 0
        with pytest.raises(TargetError, match=r"has gone|broke"):
            client.status()


def test_stdins_end_ends_it_while_it_runs(phone: Path, feeds: dict[str, np.ndarray]) -> None:
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        client = WorkerClient(connection)
        client.hello(worker.token)
        open_denoiser(client)
        for part in Body().string("denoiser").inputs(feeds).kept({}).frame(3, Kind.RUN):
            connection.sendall(part)
        worker.release()
        assert worker.process.wait(HANGS_SECONDS) == 0


def endless(path: Path) -> None:
    """A graph whose run doesn't end within anybody's patience: a loop of 2^60 rounds."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("before", "after")]
    count = onnx.helper.make_tensor_value_info("round", onnx.TensorProto.INT64, [])
    going = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, []) for name in ("on", "still_on")]
    nodes = [
        onnx.helper.make_node("Identity", ["on"], ["still_on"]),
        onnx.helper.make_node("Cos", ["before"], ["after"]),
    ]
    body = onnx.helper.make_graph(nodes, "body", [count, going[0], value[0]], [going[1], value[1]])
    loop = onnx.helper.make_node("Loop", ["rounds", "", "x"], ["y"], body=body)
    rounds = onnx.numpy_helper.from_array(np.array(1 << 60, np.int64), "rounds")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([loop], "endless", ends[:1], ends[1:], [rounds])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10), path)


def test_stdins_end_ends_a_run_that_does_not_end(phone: Path) -> None:
    endless(phone / FOLDER / "models" / "endless.onnx")
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        client = WorkerClient(connection)
        client.hello(worker.token)
        client.open("endless", "../models/endless.onnx", unit=ComputeUnit.CPU)
        for part in Body().string("endless").inputs({"x": np.ones(1, np.float32)}).kept({}).frame(3, Kind.RUN):
            connection.sendall(part)
        worker.release()
        assert worker.process.wait(HANGS_SECONDS) == 0


def test_a_worker_that_is_left_serves_the_next_host(phone: Path, feeds: dict[str, np.ndarray]) -> None:
    with WorkerProcess(phone) as worker:
        first = worker.client()
        open_denoiser(first)
        first.put("sample", feeds["sample"])
        first.leave(HANGS_SECONDS)
        # The host that started it is gone, and this is no reason to end.
        worker.release()
        second = worker.client()
        assert not open_denoiser(second).loaded
        found = second.run("denoiser", feeds).outputs["y"]
        assert np.array_equal(found, emulated(phone, feeds))
        with pytest.raises(WorkerError, match="no slot sample"):
            second.run("denoiser", {"sample": Slot("sample"), "condition": feeds["condition"]})
        with pytest.raises(OSError, match="No such file"):
            worker.connect()
        second.leave(HANGS_SECONDS)
        third = worker.client()
        third.bye()
        assert worker.ended()[0] == 0


def test_a_worker_that_is_left_ends_when_nobody_comes(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        worker.client().leave(1)
        code, log = worker.ended()
        assert code == 0
        assert "failed" not in log


def test_a_worker_that_is_left_is_for_nobody_else(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        worker.client().leave(HANGS_SECONDS)
        with pytest.raises(WorkerError, match="refused"):
            WorkerClient(worker.connect()).hello("0" * 64)
        assert worker.ended()[0] == 76


def test_the_next_host_that_hangs_up_ends_it(phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        worker.client().leave(HANGS_SECONDS)
        worker.client().hang_up()
        assert worker.ended()[0] == 0


def test_only_one_host_is_let_in(worker: WorkerProcess, client: WorkerClient) -> None:
    with pytest.raises(OSError, match="No such file"):
        worker.connect()
    client.status()


@pytest.mark.parametrize(
    ("start", "exit_code", "said"),
    [({"token": "short"}, 64, "token"), ({"protocol": "1"}, 76, "speaks protocol 2, not 1")],
)
def test_a_start_without_a_token_or_with_another_protocol_is_refused(
    start: dict[str, str], exit_code: int, said: str, phone: Path
) -> None:
    with WorkerProcess(phone, **start) as worker:
        assert worker.first_line == ""
        code, log = worker.ended()
        assert code == exit_code
        assert said in log


ONE_FLOAT = struct.pack("<BBIf", 1, 1, 1, 0.5)
BROKEN = {
    "hello twice": (raw(Kind.HELLO, struct.pack("<H", 2) + named(b"x")), "HELLO is the first"),
    "an id out of turn": (raw(Kind.STATUS, b"", request_id=7), "request 7 came where 2 was due"),
    "an unknown kind": (raw(77, b""), "no request of kind 77"),
    "a reply as request": (raw(Kind.OK, b""), "no request of kind 128"),
    "a body over the limit": (raw(Kind.PUT, b"", length=(512 << 20) + 1), "over the limit"),
    "the largest length": (raw(Kind.PUT, b"", length=0xFFFFFFFF), "over the limit"),
    "a string past its frame": (raw(Kind.CLOSE, struct.pack("<H", 9) + b"short"), "runs past its frame"),
    "a string over the limit": (raw(Kind.CLOSE, named(b"x" * 5000)), "string of 5000 bytes is over"),
    "a string of no text": (raw(Kind.CLOSE, named(b"\xff\xfe")), "isn't UTF-8"),
    "a tensor past its frame": (
        raw(Kind.PUT, named(b"s") + struct.pack("<BBII", 1, 2, 1000, 1000) + b"1234"),
        "4000000 bytes runs past its frame",
    ),
    "a tensor whose size overflows": (
        raw(Kind.PUT, named(b"s") + struct.pack("<BB4I", 1, 4, *(0xFFFFFFFF,) * 4)),
        "over the limit",
    ),
    "an empty tensor": (raw(Kind.PUT, named(b"s") + struct.pack("<BBI", 1, 1, 0)), "empty"),
    "a tensor of too many axes": (raw(Kind.PUT, named(b"s") + struct.pack("<BB9I", 1, 9, *(1,) * 9)), "rank 9"),
    "an unknown dtype": (raw(Kind.PUT, named(b"s") + b"\x07" + ONE_FLOAT[1:]), "dtype 7"),
    "bytes after a tensor": (raw(Kind.PUT, named(b"s") + ONE_FLOAT + b"!"), "1 bytes more"),
    "bytes after nothing": (raw(Kind.STATUS, b"!"), "1 bytes more"),
    "a wait of no time": (raw(Kind.LEAVE, struct.pack("<I", 0)), "wait for 0 seconds"),
    "a wait of days": (raw(Kind.LEAVE, struct.pack("<I", 86_401)), "wait for 86401 seconds"),
    "an unknown compute unit": (raw(Kind.OPEN, named(b"c") + named(b"f") + b"\x09\x00\x00"), "no compute unit 9"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_host_that_breaks_the_protocol_is_refused(case: str, phone: Path) -> None:
    request, reason = BROKEN[case]
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        connection.sendall(hello(worker.token))
        replies = WorkerConnection(connection)
        replies.last_id = 1
        replies.reply(1000)
        connection.sendall(request)
        replies.last_id = HEADER.unpack(request[: HEADER.size])[1]
        assert_frame_refused(worker, connection, replies, reason)


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        (lambda _token: hello("0" * 64), ErrorCode.REFUSED_TOKEN, "the token isn't the one"),
        (lambda _token: hello(""), ErrorCode.REFUSED_TOKEN, "the token isn't the one"),
        (lambda token: hello(token, version=1), ErrorCode.REFUSED_VERSION, "protocol 1, this worker protocol 2"),
        (lambda token: hello(token, version=3), ErrorCode.REFUSED_VERSION, "protocol 3, this worker protocol 2"),
        (lambda _token: raw(Kind.STATUS, b"", request_id=1), ErrorCode.REFUSED_FRAME, "HELLO is the first"),
    ],
    ids=["another token", "no token", "an older version", "a newer version", "no hello"],
)
def test_a_stranger_is_refused(first: object, code: ErrorCode, reason: str, phone: Path) -> None:
    assert callable(first)
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        connection.sendall(first(worker.token))
        replies = WorkerConnection(connection)
        replies.last_id = 1
        with pytest.raises(WorkerError) as caught:
            replies.reply(10_000)
        assert caught.value.code == code
        assert reason in caught.value.why
        assert worker.ended()[0] == 76


@pytest.mark.parametrize("count", [1, 8, 9, 30])
def test_a_frame_that_is_cut_off_ends_it(count: int, phone: Path) -> None:
    with WorkerProcess(phone) as worker:
        connection = worker.connect()
        connection.sendall(hello(worker.token)[:count])
        connection.close()
        code, log = worker.ended()
        assert code == 70
        assert "middle of a frame" in log
