"""Encodings, calibration and the QDQ writer, against ONNX Runtime and plain numpy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import CHECKPOINT
from graphs import htp_db, quantized, run, small_graph
from onnx import TensorProto, helper, numpy_helper
from test_calibration import plan_of, small_model

from qnn_sd.console import Console
from qnn_sd.errors import QuantizeError
from qnn_sd.export.blocks.attention import AttentionWeights, token_attention
from qnn_sd.export.blocks.basic import add, mul
from qnn_sd.export.blocks.time import sinusoids
from qnn_sd.export.checkpoint import RandomTensors, Sources
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE, load_structure, read_array
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize import quantize_component
from qnn_sd.quantize.calibration import Samples, unit_name
from qnn_sd.quantize.encodings import encodings_from_ranges
from qnn_sd.quantize.encodings.encoding import Encoding, asymmetric, per_channel, symmetric
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges import known_ranges, measure
from qnn_sd.reference import reference_session


def quantized_by_onnxruntime(values: np.ndarray, encoding: Encoding) -> np.ndarray:
    """ONNX Runtime's QuantizeLinear: the definition that the encodings follow."""
    zero = np.full(np.shape(encoding.scale), encoding.zero_point, encoding.dtype)
    attributes = {} if encoding.axis is None else {"axis": encoding.axis}
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "q",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(encoding.dtype), values.shape)],
        [numpy_helper.from_array(np.asarray(encoding.scale), "scale"), numpy_helper.from_array(zero, "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return np.asarray(reference_session(model).run(None, {"x": values})[0])


@pytest.mark.parametrize(
    "encoding",
    [asymmetric(-3.1, 5.7), asymmetric(0.5, 2.0), asymmetric(-4, -1), symmetric(2.5), asymmetric(-1, 1, bits=8)],
)
def test_integers_are_onnxs(encoding: Encoding, rng: np.random.Generator) -> None:
    values = (rng.standard_normal(5000) * 4).astype(np.float32)
    expected = quantized_by_onnxruntime(values, encoding)
    found = encoding.quantize(values)
    assert found.dtype == expected.dtype
    assert (found == expected).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_large_weights_are_quantized_in_pieces_to_the_same_integers(axis: int, rng: np.random.Generator) -> None:
    weight = rng.standard_normal((1500, 1499), np.float32)
    encoding = per_channel(weight, axis)
    tracemalloc.start()
    found = encoding.quantize(weight)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == quantized_by_onnxruntime(weight, encoding)).all()
    # The integers and one piece of a million float32 with what it takes to compute it.
    assert peak < found.nbytes + 3 * 4 * 2**20


def test_per_channel_weights_use_the_whole_range(rng: np.random.Generator) -> None:
    weight = (rng.standard_normal((6, 5, 3, 3)) * np.logspace(-4, 2, 6)[:, None, None, None]).astype(np.float32)
    encoding = per_channel(weight, 0)
    integers = encoding.quantize(weight)
    assert integers.dtype == np.int8
    assert (np.abs(integers.astype(int)).max(axis=(1, 2, 3)) == 127).all()
    restored = integers * np.asarray(encoding.scale)[:, None, None, None]
    assert (np.abs(restored - weight) <= np.asarray(encoding.scale)[:, None, None, None] * 0.5001).all()


def test_zero_is_exact_and_constant_tensors_are_no_crash() -> None:
    for low, high in [(-3.3, 7.1), (2.0, 9.0), (-5.0, -2.0), (0.0, 0.0)]:
        encoding = asymmetric(low, high)
        assert (encoding.quantize(np.zeros(1)) == encoding.zero_point).all()
        assert encoding.scale > 0


def test_measured_ranges_are_the_activations_own(tmp_path: Path, rng: np.random.Generator) -> None:
    with Graph("test", tmp_path) as g:
        small_graph(g)
    samples = [{"x": rng.standard_normal((1, 3, 6, 6), np.float32)} for _ in range(3)]
    counted = []
    ranges = measure(tmp_path, samples, lambda: counted.append(1))
    assert len(counted) == 3
    model = onnx.load(tmp_path / MODEL_FILE)
    model.graph.output.append(helper.make_tensor_value_info("first", TensorProto.FLOAT, None))
    session = reference_session(model)
    seen = np.stack([session.run(["first"], sample)[0] for sample in samples])
    assert ranges["first"] == pytest.approx((seen.min(), seen.max()), rel=1e-5)
    assert ranges["relu"] == pytest.approx((0, seen.max()), rel=1e-5)
    assert ranges["x"] == pytest.approx((min(s["x"].min() for s in samples), max(s["x"].max() for s in samples)))


MEASURED = """
import resource, sys
import numpy as np
from pathlib import Path
from qnn_sd.quantize.ranges.measured import measure
x = np.ones((1, 1, 1024, 1024), np.float32)
at = []
measure(Path(sys.argv[1]), [{"x": x}, {"x": x}], lambda: at.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
print(at[-1] * 1024)
"""


def test_measuring_keeps_no_activation_longer_than_it_is_needed(tmp_path: Path) -> None:
    """Sixty-four activations of 4 MB: those of a full-size UNet would be 14 GB."""

    def peak(name: str, length: int) -> int:
        (tmp_path / name).mkdir()
        with Graph("chain", tmp_path / name) as g:
            x = g.input("x", (1, 1, 1024, 1024))
            for number in range(length):
                x = g.node("Tanh", [x], x.shape, f"step{number}")
            g.output(x, "y")
        command = [sys.executable, "-c", MEASURED, str(tmp_path / name)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert peak("long", 64) - peak("short", 4) < 0.3 * 64 * 2**22


@pytest.mark.parametrize(
    ("feeds", "why"),
    [
        ({"x": np.zeros((1, 3, 8, 6), np.float32)}, r"has float32 \[1, 3, 8, 6\] as x, .* float32 \[1, 3, 6, 6\]"),
        ({"x": np.zeros((1, 3, 6, 6), np.float64)}, "has float64 .* as x"),
        ({"latent": np.zeros((1, 3, 6, 6), np.float32)}, r"has float32 .* as latent, the graph takes nothing"),
        ({}, "has nothing as x"),
    ],
)
def test_calibration_of_another_model_or_size_is_refused(
    feeds: dict[str, np.ndarray], why: str, tmp_path: Path
) -> None:
    good = {"x": np.ones((1, 3, 6, 6), np.float32)}
    quantized(small_graph, good, tmp_path)
    with pytest.raises(QuantizeError, match="not for") as refused:
        measure(tmp_path / "float", [good, feeds], lambda: None)
    assert re.search(f"sample 1 {why}", refused.value.why)


def test_calibration_that_is_not_finite_names_the_tensor(tmp_path: Path) -> None:
    with Graph("test", tmp_path) as g:
        small_graph(g)
    bad = np.ones((1, 3, 6, 6), np.float32)
    bad[0, 0, 0, 0] = np.inf
    with pytest.raises(QuantizeError, match="NaN or infinity in x"):
        measure(tmp_path, [{"x": bad}], lambda: None)
    with pytest.raises(QuantizeError, match="no calibration data"):
        measure(tmp_path, [], lambda: None)


def test_an_op_without_a_rule_is_named(tmp_path: Path) -> None:
    def build(g: Graph) -> None:
        x = g.input("x", (1, 4))
        g.output(g.node("Selu", [x], (1, 4), "odd"), "y")

    with pytest.raises(QuantizeError, match="Selu"):
        quantized(build, {"x": np.ones((1, 4), np.float32)}, tmp_path)


def test_a_bias_that_dwarfs_its_weights_does_not_saturate(tmp_path: Path, rng: np.random.Generator) -> None:
    """int32 in steps of input scale times weight scale is not enough for every channel."""

    def build(g: Graph) -> None:
        x = g.input("x", (1, 2, 4, 4))
        weight = rng.standard_normal((2, 2, 1, 1)).astype(np.float32)
        weight[0] *= 1e-9
        constants = [g.constant("w", weight), g.constant("b", np.array([30.0, 0.1], np.float32))]
        g.output(g.node("Conv", [x, *constants], (1, 2, 4, 4), kernel_shape=[1, 1]), "y")

    feeds = {"x": rng.standard_normal((1, 2, 4, 4), np.float32)}
    found = run(quantized(build, feeds, tmp_path), feeds)
    assert found[0, 0] == pytest.approx(30.0, abs=0.01)


def test_every_tensor_gets_the_encoding_that_the_htp_wants(tmp_path: Path, rng: np.random.Generator) -> None:
    def build(g: Graph) -> None:
        weights = RandomTensors(5)
        x = g.input("x", (1, 8, 32))
        layer = AttentionWeights.read(weights, "attn", 32, 32, 2)
        g.output(token_attention(g, "attn", layer, 2, x), "y")

    qdq = quantized(build, {"x": rng.standard_normal((1, 8, 32), np.float32)}, tmp_path)
    model = load_structure(qdq)
    made_by = {node.output[0]: node for node in model.graph.node}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert products
    for node in products:
        first, second = (made_by[name] for name in node.input)
        assert first.op_type == second.op_type == "DequantizeLinear"
        zero = read_array(constants[second.input[2]], qdq)
        if second.input[0] in constants:
            assert zero.dtype == np.int8  # weights: one scale a channel
            assert zero.shape == (constants[second.input[0]].dims[1],)
        else:
            assert zero.dtype == np.int16  # K transposed and V: symmetric
            assert (zero == 0).all()
        assert read_array(constants[first.input[2]], qdq).dtype == np.uint16
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    for node in transposes:
        output = next(other for other in model.graph.node if other.input and other.input[0] == node.output[0])
        before = made_by[node.input[0]]
        assert read_array(constants[before.input[1]], qdq) == read_array(constants[output.input[1]], qdq)


@pytest.mark.parametrize("soc", ["sm8550", "sm8650"])
def test_rows_of_one_size_are_looked_up_in_a_table_of_8_bits(
    soc: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    """And become 16 bits for what works on them; a table whose rows differ in size has 16 bits itself."""
    table = rng.standard_normal((50, 32)).astype(np.float32) * np.exp(rng.standard_normal((50, 1))).astype(np.float32)
    sizes = np.abs(table).max(axis=1, keepdims=True)
    ids = rng.integers(0, 50, (1, 20)).astype(np.int32)

    def build(g: Graph) -> None:
        numbers = g.input("ids", (1, 20), TensorProto.INT32)
        rows, size, plain = (
            g.node("Gather", [g.constant(f"{name}.table", of), numbers], (1, 20, of.shape[1]), name, axis=0)
            for name, of in (("rows", table / sizes), ("size", sizes), ("plain", table))
        )
        g.output(add(g, mul(g, rows, size), plain), "y")

    assert htp_db(build, {"ids": ids}, tmp_path, soc) >= 60
    model = onnx.load(tmp_path / "qdq" / MODEL_FILE)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert stored["rows.table.q"] == TensorProto.INT8
    assert stored["size.table.q"] == stored["plain.table.q"] == TensorProto.UINT16
    assert sqnr_db(table[ids] * 2, run(tmp_path / "qdq", {"ids": ids})) >= 45


@pytest.mark.parametrize(("score", "highest"), [(0.0, 2 / 64), (40.0, 1.0)])
def test_softmax_gets_a_margin_above_its_largest_share(score: float, highest: float, tmp_path: Path) -> None:
    """Twice the largest share that calibration saw (64 equal ones, or nearly one), and never more than 1."""

    def build(g: Graph) -> None:
        x = g.input("x", (1, 8, 64))
        g.output(g.node("Softmax", [x], x.shape, "softmax_outputs", axis=-1), "y")

    x = np.zeros((1, 8, 64), np.float32)
    x[..., 0] = score
    qdq = quantized(build, {"x": x}, tmp_path)
    model = load_structure(qdq)
    [softmax] = [node for node in model.graph.node if node.op_type == "Softmax"]
    [quantize] = [node for node in model.graph.node if softmax.output[0] in node.input]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    assert read_array(constants[quantize.input[1]], qdq) * 65535 == pytest.approx(highest, rel=1e-5)
    assert read_array(constants[quantize.input[2]], qdq) == 0


@pytest.mark.parametrize("component", ["text_encoder", "unet", "vae_decoder", "vae_encoder"])
def test_qdq_stays_close_to_float(component: str, pipeline: BuildPipeline) -> None:
    """W8A16 with AdaRound on real inputs, early and late ones."""
    calibration = pipeline.calibration()
    floats, qdq = pipeline.export(component).folder, pipeline.quantize(component).folder
    feeds = list(pipeline.samples(calibration, component))
    for sample in feeds[:: max(1, len(feeds) // 5)]:
        assert sqnr_db(run(floats, sample), run(qdq, sample)) >= 40


def test_ranges_have_a_margin_and_times_are_known(pipeline: BuildPipeline) -> None:
    """Twice what calibration saw at the model's default guidance; other scales are covered as they are."""
    made, source, recorded = pipeline.quantize("unet"), pipeline.export("unet").folder, pipeline.calibration().folder
    entries = activations(made.folder)
    own = {
        unit_name(number)
        for number, each in enumerate(plan_of(pipeline.model))
        if each.guidance == pipeline.model.guidance
    }
    default, other = (
        measure(source, Samples(recorded, "unet", wanted), lambda: None)
        for wanted in (lambda unit: unit in own, lambda unit: unit not in own)
    )

    def reach(name: str, margin: float) -> float:
        return max(margin * max(default[name][1], -default[name][0]), other[name][1], -other[name][0])

    for name in ("sample", "conv_in", "noise_pred"):
        assert width(entries[name]) == pytest.approx(2 * reach(name, 2), rel=1e-4), "as much below zero as above it"
    squares = [name for name in entries if name.endswith("norm1.squared")]
    assert squares
    for name in squares:
        assert width(entries[name]) == pytest.approx(reach(name, 4), rel=1e-4), name
    assert entries["timestep"] == (1 / 64, 0)
    angles = sorted(name for name in entries if re.fullmatch(r"time_proj\.band\d+\.angles", name))
    assert len(angles) == 8
    for name in angles:
        # The largest frequency of a band times the largest time step; met or not.
        largest = float(FloatGraph(source).array(name.replace("angles", "frequencies")).max())
        assert width(entries[name]) == pytest.approx(largest * 65535 / 64, rel=1e-4), name
        for wave in ("Sin", "Cos"):
            assert width(entries[name.replace("angles", wave)]) == pytest.approx(2, rel=1e-4)
    softmax_outputs = [name for name in entries if name.endswith("Softmax")]
    assert softmax_outputs
    assert all(width(entries[name]) <= 1.0001 for name in softmax_outputs)


def activations(folder: Path) -> dict[str, tuple[float, int]]:
    """Scale and zero point of every activation that a QDQ graph was written with."""
    entries = json.loads((folder / "encodings.json").read_text("utf-8"))["activation_encodings"]
    return {entry["name"]: (float(entry["scale"][0]), -int(entry["offset"][0])) for entry in entries}


def width(encoding: tuple[float, int]) -> float:
    """From the smallest to the largest number of 16 bits."""
    return encoding[0] * 65535


def embedding(folder: Path) -> Path:
    """A float graph of a time step's embedding."""
    folder.mkdir()
    with Graph("test", folder) as g:
        g.output(sinusoids(g, g.input("timestep", (1,)), 32, True, 0), "y")
    return folder


def at(time: float) -> dict[str, np.ndarray]:
    return {"timestep": np.array([time], np.float32)}


def test_times_are_covered_whatever_calibration_met(tmp_path: Path) -> None:
    source = embedding(tmp_path / "float")
    made = []
    for number, met in enumerate(([1.0], [951.0, 1.0], [999.0, 0.0], [500.5])):
        made.append(tmp_path / f"known{number}")
        made[-1].mkdir()
        quantize_component(source, map(at, met), made[-1], input_ranges={"timestep": (0.0, 999.0)})
    names = {name for name in activations(made[0]) if name != "y"}
    assert len(names) == 1 + 1 + 8 * 3, "the time, the same as [1, 1], each band's angles, sines and cosines"
    known = [{name: activations(folder)[name] for name in names} for folder in made]
    assert all(each == known[0] for each in known)
    measured = tmp_path / "measured"
    measured.mkdir()
    quantize_component(source, [at(500)], measured)
    for time in (0, 1, 17, 500, 998, 999):
        assert sqnr_db(run(source, at(time)), run(made[1], at(time))) >= 40
    assert sqnr_db(run(source, at(999)), run(measured, at(999))) < 10, "cut off where it was measured alone"


@pytest.mark.parametrize("last", [999, 499, 1, 4095, 65535])
def test_whole_time_steps_are_exact(last: int, tmp_path: Path) -> None:
    """Their encoding begins at 0, in steps of a power of two that 16 bits of them reach the last time with."""
    graph = FloatGraph(embedding(tmp_path / "float"))
    known = known_ranges(graph, {"timestep": (0.0, float(last)), "nowhere": (0.0, 1.0)})
    assert set(known) == {"timestep", *(name for name in graph.roles.affine_chains if name != "timestep")}
    ranges = measure(tmp_path / "float", [at(1)], lambda: None)
    encoding = encodings_from_ranges(graph, ranges, input_ranges={"timestep": (0.0, float(last))}).activations[
        "timestep"
    ]
    assert encoding.zero_point == 0
    exponent = np.log2(float(encoding.scale))
    assert exponent == round(exponent) <= 0
    assert 65535 * float(encoding.scale) >= last > 65535 * float(encoding.scale) / 2
    times = np.arange(last + 1, dtype=np.float32)
    np.testing.assert_array_equal(encoding.quantize(times).astype(np.float64) * float(encoding.scale), times)


def test_what_is_no_count_from_zero_keeps_its_range(tmp_path: Path) -> None:
    graph = FloatGraph(embedding(tmp_path / "float"))
    assert known_ranges(graph, {"timestep": (-1.0, 1.0)})["timestep"] == (-1.0, 1.0)
    assert known_ranges(graph, {}) == {}


@pytest.mark.parametrize(("spacing", "train_steps", "scale"), [("leading", 1000, 1 / 64), ("trailing", 500, 1 / 128)])
def test_times_of_a_schedule_that_calibration_does_not_reach(
    spacing: str, train_steps: int, scale: float, tmp_path: Path
) -> None:
    """With leading spacing no calibration meets the last time, which a user's own number of steps may come near."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    file = checkpoint / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "timestep_spacing": spacing, "num_train_timesteps": train_steps}))
    few = BuildPipeline(
        small_model(), Console(quiet=True), Sources(str(checkpoint)), tmp_path / "cache", rounding="nearest"
    )
    times = {float(feeds["timestep"][0]) for feeds in few.samples(few.calibration(), "unet")}
    assert len(times) == small_model().calibration.steps
    assert (max(times) < train_steps - 1) == (spacing == "leading")
    entries = activations(few.quantize("unet").folder)
    assert entries["timestep"] == (scale, 0)
    assert width(entries["time_proj.band0.angles"]) == pytest.approx(65535 * scale, rel=1e-4)


def test_other_guidance_samples_are_covered_without_a_margin(tmp_path: Path) -> None:
    """What the default guidance reaches gets a margin; what only other scales reach is covered, and no more."""
    source = tmp_path / "float"
    source.mkdir()
    with Graph("test", source) as g:
        x = g.input("x", (1, 4))
        g.output(g.node("Tanh", [g.node("Mul", [x, x], x.shape, "squared")], x.shape), "y")

    def ends(default: list[float], others: list[list[float]], name: str) -> tuple[float, float]:
        folder = tmp_path / "qdq"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        feeds = [{"x": np.array([values], np.float32)} for values in (default, *others)]
        counted = []
        quantize_component(source, feeds[:1], folder, lambda: counted.append(1), other_guidance_samples=iter(feeds[1:]))
        assert len(counted) == len(feeds), "each sample is measured once"
        encoding = activations(folder)[name]
        low = -encoding[1] * encoding[0]
        return low, low + width(encoding)

    default = [-1.0, 0.0, 0.5, 1.0]
    assert ends(default, [], "x") == pytest.approx((-2, 2), abs=1e-3)
    assert ends(default, [[1.9, 0, 0, -1.9]], "x") == pytest.approx((-2, 2), abs=1e-3), (
        "within the default guidance's margin"
    )
    assert ends(default, [[0, 0, 0, 1.5], [-5.0, 0, 0, 0]], "x") == pytest.approx((-5, 5), abs=1e-3)
    assert ends(default, [[0, 0, 0, -1.9]], "squared") == pytest.approx((0, 4), abs=1e-3), "four times, as of squares"
    assert ends(default, [[0, 0, 0, -3.0]], "squared") == pytest.approx((0, 9), abs=1e-3)


def test_encodings_file_restores_the_weights(pipeline: BuildPipeline) -> None:
    """AIMET's format 1.0.0: real = scale * (integer + offset), integers counted from zero."""
    made = pipeline.quantize("unet")
    document = json.loads(made.file("encodings.json").read_text())
    assert document["version"] == "1.0.0"
    entries = {entry["name"]: entry for entry in document["param_encodings"]}
    entry = entries["conv_in.weight"]
    assert (entry["bw"], entry["enc_type"], entry["is_sym"]) == (8, "PER_CHANNEL", True)
    model = load_structure(made.folder)
    stored = next(t for t in model.graph.initializer if t.name == "conv_in.weight.q")
    unsigned = read_array(stored, made.folder).astype(int) + 128
    scale, offset = np.array(entry["scale"]), np.array(entry["offset"])
    restored = (unsigned + offset[:, None, None, None]) * scale[:, None, None, None]
    source = load_structure(pipeline.export("unet").folder)
    weight = next(t for t in source.graph.initializer if t.name == "conv_in.weight")
    expected = read_array(weight, pipeline.export("unet").folder)
    # AdaRound takes the integer below or above, whichever it is.
    assert np.abs(restored - expected).max() <= scale.max() * 1.0001


def test_a_bias_behind_a_table_of_8_bits_counts_in_what_the_layer_reads(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Rows become uint16 before a layer works on them: its bias is in steps of those."""
    table = rng.standard_normal((50, 32)).astype(np.float32)
    table /= np.abs(table).max(axis=1, keepdims=True)
    weight, bias = rng.standard_normal((16, 32)).astype(np.float32), 30 * rng.standard_normal(16).astype(np.float32)

    def build(g: Graph) -> None:
        ids = g.input("ids", (20,), TensorProto.INT32)
        rows = g.node("Gather", [g.constant("table", table), ids], (20, 32), axis=0)
        g.output(g.node("Gemm", [rows, g.constant("w", weight), g.constant("b", bias)], (20, 16), transB=1), "y")

    feeds = {"ids": rng.integers(0, 50, 20).astype(np.int32)}
    assert htp_db(build, feeds, tmp_path) >= 50


@pytest.mark.parametrize(
    ("gamma", "beta", "shape", "bits"),
    [
        (1.0, 0.0, (64,), np.uint8),
        (1.0, 0.5, (64,), np.uint16),  # in steps of a small input it might not fit 32 bits
        (0.0, 0.0, (64,), np.uint16),
        (1.0, 0.0, (8, 64), np.uint16),
    ],
)
def test_a_norm_is_one_of_integers_where_that_is_exact(
    gamma: float, beta: float, shape: tuple[int, ...], bits: type, tmp_path: Path, rng: np.random.Generator
) -> None:
    def build(g: Graph) -> None:
        x = g.input("x", (1, 8, 64))
        parameters = [g.constant(n, np.full(shape, value, np.float32)) for n, value in (("g", gamma), ("b", beta))]
        g.output(g.node("LayerNormalization", [x, *parameters], x.shape, axis=-len(shape), epsilon=1e-5), "y")

    feeds = {"x": 1e-3 * rng.standard_normal((1, 8, 64), np.float32)}
    qdq = quantized(build, feeds, tmp_path)
    constants = {tensor.name: tensor for tensor in load_structure(qdq).graph.initializer}
    assert read_array(constants["g.zero_point"], qdq).dtype == bits
    assert read_array(constants["b.zero_point"], qdq).dtype == (np.int32 if bits is np.uint8 else np.uint16)
    expected, found = run(tmp_path / "float", feeds), run(qdq, feeds)
    assert np.array_equal(expected, found) or sqnr_db(expected, found) >= 60
