"""The bisection names the op at fault, on what the HTP compiler is known to get wrong, among other ops."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_here import CliHere
from graphs import quantized
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qnn_sd import qnn_provider
from qnn_sd.cli import bisect as bisect_command
from qnn_sd.compile.bisect import (
    Bisection,
    Reproduction,
    Target,
    bisect,
    compile_and_run,
    op_name,
    refused_ops,
    seeded_inputs,
    write_reproduction,
)
from qnn_sd.compile.bisect.trial import Ran, Trial, output_errors
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.export.blocks import norm
from qnn_sd.export.blocks.attention import AttentionWeights, self_attention
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph, Value
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import outputs_of, reference_session
from qnn_sd.runner import Feeds
from qnn_sd.toolchain import load_toolchains, release

SM8650 = Target("sm8650", 57, 75, 3)
V85 = Target("v85", 113, 85, 3)
V68 = Target("v68", 30, 68, 3)
Build = Callable[[Graph], None]


def in_process(target: Target) -> Trial:
    """Trials in this process, ten times as fast; for graphs at which nothing crashes."""
    options = qnn_provider.htp_options(target.soc_model, target.htp_arch)

    def trial(folder: Path, samples: Sequence[Feeds]) -> Ran:
        sessions = reference_session(folder / MODEL_FILE), qnn_provider.session(folder / MODEL_FILE, options)
        return Ran(*([outputs_of(each, feeds) for feeds in samples] for each in sessions))

    return trial


def healthy(g: Graph, x: Value, rng: np.random.Generator, name: str, count: int) -> Value:
    """Some ops that the compiler gets right."""
    for number in range(count):
        here = f"{name}.{number}"
        kind = rng.choice(["conv", "relu", "residual", "scaled"])
        if kind == "conv":
            x = conv(g, RandomTensors(number), here, x, x.shape[1], kernel=1)
        elif kind == "relu":
            x = g.node("Relu", [x], x.shape, here)
        elif kind == "residual":
            x = g.node("Add", [x, conv(g, RandomTensors(9), f"{here}.c", x, x.shape[1], kernel=1)], x.shape, here)
        else:
            factor = g.constant(f"{here}.f", rng.uniform(0.5, 2, (1, x.shape[1], 1, 1)))
            x = g.node("Mul", [x, factor], x.shape, here)
    return x


def among_others(pattern: Callable[[Graph, Value], Value], shape: tuple[int, ...], seed: int) -> Build:
    """A pattern somewhere among healthy ops."""

    def build(g: Graph) -> None:
        rng = np.random.default_rng(seed)
        x = healthy(g, g.input("x", (1, *shape)), rng, "before", int(rng.integers(1, 7)))
        g.output(healthy(g, pattern(g, x), rng, "after", int(rng.integers(1, 7))), "y")

    return build


def found_in(
    folder: Path,
    target: Target,
    feeds: Feeds,
    trial: Trial | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> Bisection:
    return bisect(folder, [feeds], trial or in_process(target), partial(refused_ops, target), report)


def names_in(bisection: Bisection) -> list[str]:
    return [] if bisection.culprit is None else [op_name(node) for node in bisection.culprit.ops]


def images(seed: int, *shape: int) -> dict[str, NDArray[np.float32]]:
    return {"x": np.random.default_rng(seed).standard_normal((1, *shape), np.float32)}


# The search, on faults that are planted: the HTP's part is the CPU's, with the last op of a pattern negated.


def planted(pattern: Sequence[str]) -> Trial:
    def trial(folder: Path, samples: Sequence[Feeds]) -> Ran:
        wrong = onnx.load_model(folder / MODEL_FILE)
        nodes = {node.name: node for node in wrong.graph.node}
        if set(pattern) <= nodes.keys():
            last = nodes[pattern[-1]]
            made = last.output[0]
            last.output[0] = f"{made}.right"
            place = list(wrong.graph.node).index(last)
            wrong.graph.node.insert(place + 1, helper.make_node("Neg", [last.output[0]], [made]))
        sessions = reference_session(folder / MODEL_FILE), reference_session(wrong)
        return Ran(*([outputs_of(each, feeds) for feeds in samples] for each in sessions))

    return trial


@pytest.fixture(scope="module")
def plain_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)

    def build(g: Graph) -> None:
        g.output(healthy(g, g.input("x", (1, 6, 5, 4)), rng, "op", 21), "y")

    return quantized(build, images(1, 6, 5, 4), tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_planted_fault_is_found_wherever_it_lies(plain_graph: Path, length: int) -> None:
    names = [op_name(node) for node in QdqGraph(plain_graph).ops]
    for start in range(0, len(names) - length + 1, 2 * length):
        pattern = names[start : start + length]
        found = found_in(plain_graph, SM8650, images(1, 6, 5, 4), planted(pattern), lambda _line: None)
        assert found.fault == "parts"
        assert found.op is not None
        assert op_name(found.op) == pattern[-1]
        assert names_in(found) == pattern, "all that the fault needs, and no other op"
        assert found.cuts.compiles <= 40


@pytest.mark.parametrize("place", [7, "across the middle"])
def test_of_two_faults_the_first_is_named(plain_graph: Path, place: int | str) -> None:
    names = [op_name(node) for node in QdqGraph(plain_graph).ops]
    pattern = [names[place]] if isinstance(place, int) else names[len(names) // 2 - 1 : len(names) // 2 + 1]
    first, second = planted(pattern), planted([names[-4]])

    def both(folder: Path, samples: Sequence[Feeds]) -> Ran:
        runs = [first(folder, samples), second(folder, samples)]
        wrong = [
            each for each in runs if not np.array_equal(*(s[0][next(iter(s[0]))] for s in (each.expected, each.found)))
        ]
        return (wrong or runs)[0]

    assert names_in(found_in(plain_graph, SM8650, images(1, 6, 5, 4), both)) == pattern


@pytest.mark.parametrize("fault", ["refused", "crashed"])
def test_a_refusal_or_a_crash_is_narrowed_down_where_the_log_names_nothing(
    plain_graph: Path, fault: str, tmp_path: Path
) -> None:
    names = [op_name(node) for node in QdqGraph(plain_graph).ops]

    def trial(folder: Path, samples: Sequence[Feeds]) -> Ran:
        there = {node.name for node in onnx.load_model(folder / MODEL_FILE).graph.node}
        return Ran(fault=fault, why="SIGSEGV") if set(names[9:11]) <= there else planted(["none"])(folder, samples)  # type: ignore[arg-type]

    found = bisect(plain_graph, [images(1, 6, 5, 4)], trial, lambda _folder: {}, print)
    assert (found.fault, found.why) == (fault, "SIGSEGV")
    assert names_in(found) == names[9:11]
    written = write_reproduction(found, SM8650, tmp_path / "one.zip", {})
    assert written is not None
    assert (written.sqnr_db, written.own_weights, written.own_inputs) == (None, False, False)
    assert written.own_names, "this fault is gone under other names"


def test_an_error_that_only_adds_up_is_no_ops_fault(plain_graph: Path) -> None:
    """Each op a thousandth off: the whole is below the gate, and no op is to be named."""

    def trial(folder: Path, samples: Sequence[Feeds]) -> Ran:
        ran = planted(["none"])(folder, samples)
        ops = sum(
            node.op_type not in ("QuantizeLinear", "DequantizeLinear") for node in QdqGraph(folder).model.graph.node
        )
        return Ran(
            ran.expected, [{name: array * (1 + 2e-4 * ops) for name, array in each.items()} for each in ran.found]
        )

    found = found_in(plain_graph, SM8650, images(1, 6, 5, 4), trial)
    assert (found.fault, found.culprit) == ("parts", None)


def test_nan_parts_and_a_step_does_not(plain_graph: Path) -> None:
    graph = QdqGraph(plain_graph)
    reference = outputs_of(reference_session(plain_graph / MODEL_FILE), images(1, 6, 5, 4))
    ((name, array),) = reference.items()
    (right,) = output_errors(graph, reference, reference)
    assert right.step > 0
    (step,) = output_errors(graph, {name: array * 0 + right.step}, {name: array * 0 + 2 * right.step})
    assert step.sqnr_db == pytest.approx(0, abs=0.1)
    assert step.margin_db(50) >= -0.01
    (off,) = output_errors(graph, reference, {name: array + np.float32(np.nan)})
    assert off.margin_db(-1000) < 0


def test_the_whole_of_a_healthy_graph_is_compiled_once(plain_graph: Path) -> None:
    found = found_in(plain_graph, SM8650, images(1, 6, 5, 4))
    assert (found.fault, found.op, found.cuts.compiles) == (None, None, 1)
    assert found.whole.least_sqnr_db is not None
    assert found.whole.least_sqnr_db >= 50


# What the compiler is known to get wrong.


def silu_after_norm(channels: int, name: str) -> Callable[[Graph, Value], Value]:
    def pattern(g: Graph, x: Value) -> Value:
        x = conv(g, RandomTensors(1), f"{name}.in", x, channels)
        # A norm of gamma 1 and beta 0, as one whose affine is folded.
        x = group_norm(g, f"{name}_norm", x, affine_of(RandomTensors(1), "norm", channels), 16, 1e-5, "silu")
        return conv(g, RandomTensors(2), f"{name}.out", x, channels)

    return pattern


@pytest.mark.parametrize(("side", "channels", "seed"), [(9, 64, 0), (12, 32, 5)])
def test_silu_after_a_norm_is_named(
    side: int, channels: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norm, "FLAT_ACT_BELOW", 0)
    shape = channels, side, side
    folder = quantized(among_others(silu_after_norm(channels, "odd"), shape, seed), images(seed, *shape), tmp_path)
    found = found_in(folder, SM8650, images(seed, *shape))
    assert found.op is not None
    assert op_name(found.op) == "odd_norm.silu"
    assert (
        {"odd_norm.Sigmoid", "odd_norm.silu"}
        <= set(names_in(found))
        <= {f"odd_norm.{name}" for name in ("scale", "scaled", "shifted", "Sigmoid", "silu")}
    )
    assert found.fused, "with the tensors between them as outputs the HTP is right"
    assert found.cuts.compiles <= 30


@pytest.mark.parametrize(("channels", "seed"), [(160, 1)])
def test_a_mean_over_many_channels_is_named(channels: int, seed: int, tmp_path: Path) -> None:
    installed = load_toolchains().of(qnn_provider.versions())
    if installed is not None and release(installed.qairt) >= (2, 51):
        pytest.skip("right since QAIRT 2.51")

    def pattern(g: Graph, x: Value) -> Value:
        x = conv(g, RandomTensors(1), "some.in", x, channels, kernel=1)
        mean = g.node("ReduceMean", [x, g.constant("axes", np.array([1]))], (1, 1, 16, 16), "some.mean", keepdims=1)
        return g.node("Sub", [x, mean], x.shape, "some.centred")

    shape = channels, 16, 16
    folder = quantized(among_others(pattern, shape, seed), images(seed, *shape), tmp_path)
    found = found_in(folder, SM8650, images(seed, *shape))
    assert found.op is not None
    assert op_name(found.op) == "some.mean"
    assert names_in(found) == ["some.in", "some.mean"]


def test_a_pool_that_wraps_around_is_named(tmp_path: Path) -> None:
    def build(g: Graph) -> None:
        x = healthy(g, g.input("x", (1, 2, 512, 512)), np.random.default_rng(1), "before", 1)
        pooled = g.node("GlobalAveragePool", [x], (1, 2, 1, 1), "area")
        g.output(g.node("Mul", [g.node("Relu", [pooled], (1, 2, 1, 1)), pooled], (1, 2, 1, 1)), "y")

    feeds = {"x": images(1, 2, 512, 512)["x"] + np.float32(8)}
    found = found_in(quantized(build, feeds, tmp_path), SM8650, feeds)
    assert names_in(found) == ["area"]


def int16_attention(folder: Path) -> tuple[Path, Feeds]:
    """Attention of two heads between healthy ops, keys and values int16."""

    def pattern(g: Graph, x: Value) -> Value:
        return self_attention(g, "attend", AttentionWeights.read(RandomTensors(3), "attend", 64, 64, 2), 2, x)

    feeds = images(4, 64, 8, 8)
    return quantized(among_others(pattern, (64, 8, 8), 6), feeds, folder, int8_operands=False), feeds


def test_noise_after_an_int16_operand_is_named_on_v85(tmp_path: Path) -> None:
    """The product itself is right; what is convolved with it isn't."""
    found = found_in(int16_attention(tmp_path)[0], V85, images(4, 64, 8, 8))
    assert found.culprit is not None
    assert "MatMul" in [node.op_type for node in found.culprit.ops]
    assert all(name.startswith("attend.") for name in names_in(found))
    assert len(names_in(found)) <= 4


@pytest.mark.parametrize("before", [1, 2])
def test_a_product_with_a_uint16_operand_is_named(before: int, tmp_path: Path) -> None:
    """The HTP takes 8 bits of it."""
    folder = tmp_path / "qdq"
    folder.mkdir()
    onnx.save_model(uint16_product(before), folder / MODEL_FILE)
    feeds = seeded_inputs(QdqGraph(folder), 1)
    found = found_in(folder, SM8650, feeds)
    assert names_in(found) == ["times"]


def uint16_product(before: int) -> onnx.ModelProto:
    """Two inputs, a Neg or more on each, their product, a Relu; all of it uint16."""
    nodes: list[onnx.NodeProto] = []
    scale, zero = (
        numpy_helper.from_array(np.array(value), name)
        for name, value in (("scale", np.float32(8 / 65535)), ("zero", np.uint16(30000)))
    )

    def op(kind: str, name: str, *read: str) -> str:
        nodes.append(helper.make_node(kind, read, [f"{name}.raw"], name))
        return rounded(f"{name}.raw", name)

    def rounded(raw: str, name: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [raw, "scale", "zero"], [f"{name}.q"], f"{name}.q"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", "scale", "zero"], [f"{name}.dq"], f"{name}.dq"))
        return f"{name}.dq"

    sides = [rounded(name, f"{name}.in") for name in ("left", "right")]
    for number in range(before):
        sides = [op("Neg", f"{number}.{place}", side) for place, side in enumerate(sides)]
    op("Relu", "last", op("MatMul", "times", *sides))
    nodes[-1].output[0] = "y"
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("left", (1, 2, 16, 24)), ("right", (1, 2, 24, 16)), ("y", (1, 2, 16, 16)))
    ]
    graph = helper.make_graph(nodes, "product", values[:2], values[2:], [scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model


def test_a_refused_op_is_named_with_what_the_compiler_says(tmp_path: Path) -> None:
    folder, feeds = int16_attention(tmp_path)
    found = found_in(folder, V68, feeds, compile_and_run(V68))
    assert found.fault == "refused"
    assert found.op is not None
    first = next(node for node in QdqGraph(folder).ops if node.op_type == "MatMul")
    assert (op_name(found.op), found.op.op_type) == (op_name(first), "MatMul")
    assert "has incorrect Value 68, expected >= 73" in found.why
    assert found.cuts.compiles == 3


# What is sent.


@pytest.fixture(scope="module")
def silu(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bisection, Reproduction]:
    folder = tmp_path_factory.mktemp("silu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(norm, "FLAT_ACT_BELOW", 0)
        graph = quantized(among_others(silu_after_norm(64, "secret"), (64, 9, 9), 7), images(1, 64, 9, 9), folder)
    found = found_in(graph, SM8650, images(1, 64, 9, 9))
    written = write_reproduction(found, SM8650, folder / "silu.zip", {"onnxruntime": "1.2.3", "QAIRT": "4.5.6"})
    assert written is not None
    return folder, found, written


def test_a_reproduction_has_a_few_kilobytes_and_nothing_private(silu: tuple[Path, Bisection, Reproduction]) -> None:
    _, found, written = silu
    assert written.size == written.path.stat().st_size < 8_000
    assert (written.own_weights, written.own_inputs, written.own_names) == (False, False, False)
    with zipfile.ZipFile(written.path) as packed:
        files = {Path(name).name: packed.read(name) for name in packed.namelist()}
    assert files.keys() == {"model.onnx", "run.py", "case.json", "README.md"}
    assert not [name for name, content in files.items() if b"secret" in content]
    kept = {
        bytes(each.raw_data)
        for each in onnx.load_from_string(files["model.onnx"]).graph.initializer
        if np.prod(each.dims) > 16
    }
    assert kept
    assert not [raw for raw in kept if raw in (found.cuts.graph.folder / "weights.bin").read_bytes() and any(raw)]
    page = files["README.md"].decode()
    assert all(
        word in page for word in ("sm8650, QNN's number 57", "v75", "1.2.3", "4.5.6", f"{written.sqnr_db:.1f} dB SQNR")
    )


def test_its_script_shows_the_same_figure(silu: tuple[Path, Bisection, Reproduction], tmp_path: Path) -> None:
    _, _, written = silu
    assert written.sqnr_db is not None
    with zipfile.ZipFile(written.path) as packed:
        packed.extractall(tmp_path)
    command = [sys.executable, "-I", str(tmp_path / "silu" / "run.py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"output 0: {written.sqnr_db:.1f} dB SQNR" in ran.stdout


# The command.


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bisect_command, "compile_and_run", in_process)


@pytest.mark.usefixtures("quick")
def test_the_command_says_that_nothing_parts(cli_here: CliHere, plain_graph: Path) -> None:
    ran = cli_here("verify", "--bisect", "--graph", str(plain_graph), "--soc", "sm8650")
    assert ran.returncode == 0, ran.stderr
    assert "nothing parts" in ran.stdout
    assert "compile 1: the whole graph" in ran.stderr


@pytest.mark.usefixtures("quick")
def test_the_command_ends_with_the_gates_exit_code_and_one_document(
    cli_here: CliHere,
    silu: tuple[Path, Bisection, Reproduction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bisect_command, "bisect", lambda *_given: silu[1])
    np.savez(tmp_path / "in.npz", allow_pickle=False, **images(1, 64, 9, 9))
    line = ["verify", "--bisect", "--graph", str(silu[0] / "qdq"), "--inputs", str(tmp_path / "in.npz"), "--json"]
    ran = cli_here(*line, "--reproduction", str(tmp_path / "one.zip"))
    assert ran.returncode == 15
    document = json.loads(ran.stdout)
    (graph,) = document["graphs"]
    assert (graph["fault"], graph["op"]["name"], graph["op"]["type"]) == ("parts", "secret_norm.silu", "Mul")
    assert graph["op"]["shape"] == [1, 64, 9, 9]
    assert graph["reproduction"]["bytes"] == (tmp_path / "one.zip").stat().st_size
    assert document["error"]["what"].endswith("at secret_norm.silu (Mul)")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (["--graph", "x"], "--graph has no meaning without --bisect"),
        (["--component", "unet"], "--component has no meaning without --bisect"),
        (["--bisect", "--inputs", "x.npz"], "--inputs has no meaning without --graph"),
        (["--bisect", "--graph", "x", "--model", "sd15"], "--model has no meaning with --graph"),
        (["--bisect", "--reproduction", "x.zip"], "One file can't take the reproductions"),
        (["--bisect", "--report", "x.md"], "--report has no meaning with --bisect"),
        (["--bisect", "x.bin"], "--bisect has no meaning with a file or folder"),
        (["--bisect", "--graph", "nowhere"], "There is no graph in nowhere"),
    ],
)
def test_options_that_mean_nothing_are_refused(cli_here: CliHere, line: list[str], what: str) -> None:
    ran = cli_here("verify", *line)
    assert ran.returncode == 3
    assert what in ran.stderr
