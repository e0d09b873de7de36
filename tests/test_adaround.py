"""AdaRound: the solver against exhaustive search, its statistics against torch, its pieces against the whole graph."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from graphs import run
from onnx import TensorProto

from qnn_sd.artifact import sha256_of_file
from qnn_sd.export.blocks.basic import add, conv, linear_row
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE, load_structure, read_array
from qnn_sd.quantize import RoundingData, quantize_by_adaround, quantize_component
from qnn_sd.quantize.adaround import moments
from qnn_sd.quantize.adaround.backend import torch_backend
from qnn_sd.quantize.adaround.im2col import Im2col, input_columns
from qnn_sd.quantize.adaround.layers import by_source, quantized_layers
from qnn_sd.quantize.adaround.moments import GramMatrix, InputError, error_power
from qnn_sd.quantize.adaround.report import REPORT_FILE
from qnn_sd.quantize.adaround.segments import FloatSegments, QdqSegments
from qnn_sd.quantize.adaround.solver import RoundingSolver, factor
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.reference import reference_session

SHAPE = (1, 8, 12, 12)


def correlated(rng: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """Inputs as layers get them: a few causes behind many numbers."""
    causes = rng.standard_normal((rows, size // 3 + 1))
    mixing = np.random.default_rng(7).standard_normal((size // 3 + 1, size))
    return (causes @ mixing + 0.2 * rng.standard_normal((rows, size))).astype(np.float32)


# The solver


def solver(x: np.ndarray) -> RoundingSolver:
    """For layers that read such inputs, [rows, K]."""
    return RoundingSolver(x.T @ x / len(x), len(x))


def test_integers_are_the_ones_below_or_above(rng: np.random.Generator) -> None:
    weight = rng.standard_normal((5, 300)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    x = correlated(rng, 2000, 300)
    found = solver(x).round(weight, scale, 8)
    steps = weight / scale[:, None]
    assert found.dtype == np.int8
    assert ((found == np.floor(steps)) | (found == np.ceil(steps))).all()


def test_it_comes_close_to_the_best_of_all_choices(rng: np.random.Generator) -> None:
    """Against every one of 2^11 choices for each of 40 channels."""
    size = 11
    x = correlated(rng, 500, size).astype(np.float64)
    gram = (x.T @ x / 500).astype(np.float32)
    # What is minimized: correlations are believed in part only.
    gram = 0.9 * gram + 0.1 * np.diag(np.diag(gram))
    weight = rng.standard_normal((40, size)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    low = np.floor(weight / scale[:, None])
    choices = np.array(list(itertools.product((0, 1), repeat=size)), np.float32)
    found = solver(x.astype(np.float32)).round(weight, scale, 8)
    best, ours, nearest = [], [], []
    for channel in range(len(weight)):
        errors = (np.clip(low[channel] + choices, -128, 127) * scale[channel] - weight[channel]).astype(np.float64)
        best.append(np.einsum("ck,kj,cj->c", errors, gram, errors).min())
        for integers, powers in ((found, ours), (np.rint(weight / scale[:, None]), nearest)):
            error = integers[channel] * scale[channel] - weight[channel]
            powers.append(float(error @ gram @ error))
    assert np.sum(ours) < 1.5 * np.sum(best)
    assert np.sum(ours) < 0.4 * np.sum(nearest)


def test_what_it_gains_holds_on_other_data(rng: np.random.Generator) -> None:
    x = correlated(rng, 6000, 200)
    weight = rng.standard_normal((16, 200)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    found = solver(x[:3000]).round(weight, scale, 8)

    def error(integers: np.ndarray) -> float:
        return float(np.square(x[3000:] @ (integers * scale[:, None] - weight).T).mean())

    assert error(found) < 0.5 * error(np.rint(weight / scale[:, None]))


def test_it_gains_on_other_data_even_with_a_quarter_of_a_row_per_input(rng: np.random.Generator) -> None:
    """As at the lowest level of a large UNet: correlations are believed the less, the fewer the rows."""
    x = correlated(rng, 3100, 400)
    weight = rng.standard_normal((16, 400)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    found = solver(x[:100]).round(weight, scale, 8)
    before, after = (
        error_power(integers * scale[:, None] - weight, x[100:])
        for integers in (np.rint(weight / scale[:, None]), found)
    )
    assert after < before


def differing(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """What the float model's inputs have more: a part that follows from these inputs, and noise."""
    size = x.shape[1]
    predictable = x @ (np.random.default_rng(8).standard_normal((size, size)) / size).astype(np.float32)
    return (0.1 * predictable + 0.01 * rng.standard_normal(x.shape)).astype(np.float32)


def input_error_of(weight: np.ndarray, x: np.ndarray, difference: np.ndarray) -> InputError:
    input_error = InputError(weight)
    for part in zip(np.array_split(x, 3), np.array_split(difference, 3), strict=True):
        input_error.add(*part)
    return input_error


def test_the_target_is_the_least_squares_answer_to_the_float_output(rng: np.random.Generator) -> None:
    """With the ridge that shrinking G means, against numpy's least squares in float64; larger than a block."""
    size, rows = 1100, 4000
    x = correlated(rng, rows, size)
    difference, weight = differing(rng, x), rng.standard_normal((6, size)).astype(np.float32)
    found = solver(x).target(weight, input_error_of(weight, x, difference).mean())
    ridge = np.diag(np.sqrt(0.1 / 0.9 * np.square(x.astype(np.float64)).sum(axis=0)))
    output = (x.astype(np.float64) + difference) @ weight.T
    expected, *_ = np.linalg.lstsq(np.vstack([x, ridge]), np.vstack([output, ridge @ weight.T]), rcond=None)
    change = expected.T - weight
    assert np.square(found - expected.T).sum() < 1e-4 * np.square(change).sum()


def test_it_makes_up_for_what_the_layers_before_it_cost(rng: np.random.Generator) -> None:
    """On other data: less of the float model's output is missing than with weights that weren't rounded at all."""
    x, weight = correlated(rng, 6000, 200), rng.standard_normal((16, 200)).astype(np.float32)
    difference, scale = differing(rng, x), np.abs(weight).max(axis=1) / 127
    of = solver(x[:3000])
    blind = of.round(weight, scale, 8)
    aimed = of.round(weight, scale, 8, of.target(weight, input_error_of(weight, x[:3000], difference[:3000]).mean()))
    steps = weight / scale[:, None]
    # What is an integer already, as a channel's largest weight is, may move by one too.
    assert (np.abs(aimed - steps) < 1.0001).all()

    def error(integers: np.ndarray) -> float:
        return error_power(integers * scale[:, None] - weight, x[3000:], difference[3000:] @ weight.T)

    assert error(aimed) < 0.3 * error(steps)
    assert error(aimed) < 0.3 * error(blind)


def test_torch_rounds_as_numpy_does(rng: np.random.Generator) -> None:
    """The code that a GPU runs, on torch's CPU: the same choices but for ties that the last bits decide."""
    x = correlated(rng, 3000, 300)
    weight = rng.standard_normal((24, 300)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    backend = torch_backend("cpu")
    gram = GramMatrix(300, backend)
    gram.add(x)
    other = RoundingSolver(gram.mean(), gram.rows, backend)
    difference = differing(rng, x)
    input_error = InputError(weight, backend)
    input_error.add(x, difference)
    expected = input_error_of(weight, x, difference)
    assert input_error.power() == pytest.approx(expected.power(), rel=1e-4)
    aims = (each.target(weight, moment.mean()) for each, moment in ((solver(x), expected), (other, input_error)))
    ours, theirs = (of.round(weight, scale, 8, aim) for of, aim in zip((solver(x), other), aims, strict=True))
    assert (ours == theirs).mean() > 0.99
    powers = [other.power(each * scale[:, None] - weight) for each in (ours, theirs)]
    assert powers[1] == pytest.approx(powers[0], rel=0.01)


def test_the_factor_is_choleskys(rng: np.random.Generator) -> None:
    """Larger than a block of it, and not a multiple."""
    x = correlated(rng, 3000, 1300).astype(np.float64)
    matrix = (x.T @ x / 3000 + np.eye(1300)).astype(np.float32)
    found, expected = np.tril(factor(matrix)), np.linalg.cholesky(matrix.astype(np.float64))
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_inputs_that_were_always_zero_do_no_harm(rng: np.random.Generator) -> None:
    x = correlated(rng, 1000, 60)
    x[:, 10:20] = 0
    weight = rng.standard_normal((4, 60)).astype(np.float32)
    scale = np.abs(weight).max(axis=1) / 127
    found = solver(x).round(weight, scale, 8)
    assert (np.abs(found * scale[:, None] - weight) < scale[:, None] * 1.001).all()


# Its statistics


@pytest.mark.parametrize(
    ("kernel", "strides", "pads", "dilations"),
    [((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)), ((3, 3), (2, 2), (0, 0, 1, 1), (1, 1)), ((1, 1), (1, 1), (0,) * 4, (1, 1)),
     ((3, 2), (2, 1), (1, 0, 2, 1), (2, 1))],
)  # fmt: skip
def test_columns_are_what_a_convolution_multiplies(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    x = rng.standard_normal((1, 5, 9, 11)).astype(np.float32)
    weight = rng.standard_normal((7, 5, *kernel)).astype(np.float32)
    top, left, bottom, right = pads
    padded = torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(padded, torch.from_numpy(weight), stride=strides, dilation=dilations)
    found = input_columns(x, Im2col(kernel, strides, pads, dilations), 10_000, rng)
    outputs = found @ weight.reshape(7, -1).T
    assert np.allclose(outputs.T.reshape(expected.shape), expected.numpy(), atol=1e-5)


def test_fewer_columns_are_some_of_all(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 3, 6, 6)).astype(np.float32)
    im2col = Im2col((3, 3), (1, 1), (1, 1, 1, 1))
    every = {tuple(row) for row in input_columns(x, im2col, 100, rng)}
    some = input_columns(x, im2col, 10, rng)
    assert len(some) == 10
    assert len({tuple(row) for row in some} & every) == 10


def test_the_error_of_the_outputs_follows_from_the_gram_matrix(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "_STRIPE", 16)
    x, error = correlated(rng, 700, 50), rng.standard_normal((9, 50)).astype(np.float32)
    gram = GramMatrix(50)
    for part in np.array_split(x, 7):
        gram.add(part)
    expected = np.square(x.astype(np.float64) @ error.T).sum(axis=1).mean()
    mean = gram.mean()
    assert np.array_equal(mean, mean.T)
    assert RoundingSolver(mean, gram.rows).power(error) == pytest.approx(expected, rel=1e-4)
    assert error_power(error, x) == pytest.approx(expected, rel=1e-4)


def test_so_does_what_the_layers_before_cost(rng: np.random.Generator) -> None:
    x, weight = correlated(rng, 700, 50), rng.standard_normal((9, 50)).astype(np.float32)
    error, difference = 0.01 * rng.standard_normal((9, 50)).astype(np.float32), differing(rng, x)
    input_error = input_error_of(weight, x, difference)
    exact = (x.astype(np.float64) + difference) @ weight.T
    expected = np.square(exact - x.astype(np.float64) @ (weight + error).T).sum(axis=1).mean()
    assert error_power(error, x, difference @ weight.T) == pytest.approx(expected, rel=1e-3)
    found = input_error.power() - 2 * (input_error.mean() * error).sum() + solver(x).power(error)
    assert found == pytest.approx(expected, rel=1e-3)
    assert input_error.rows == len(x)


# A graph


def network(g: Graph) -> None:
    """Two paths from one input, a layer of two, one that is read late: what cuts have to get right."""
    weights = RandomTensors(3)
    x = g.input("x", SHAPE)
    early = conv(g, weights, "early", x, 8, kernel=1)
    first = conv(g, weights, "first", x, 16)
    second = conv(g, weights, "second", g.node("Relu", [first], (1, 16, 12, 12)), 8)
    total = add(g, second, early, "total")
    row = g.node("Reshape", [total, g.constant("flat", np.array([1, 1152], np.int64))], (1, 1152))
    g.output(linear_row(g, weights, "head", row, 10), "y")


@pytest.fixture(scope="module")
def samples() -> list[dict[str, np.ndarray]]:
    """Smooth maps of three causes behind eight channels, so that neighbours agree."""
    rng = np.random.default_rng(21)
    mixing = rng.standard_normal((8, 3))
    made = []
    for _sample in range(28):
        causes = np.einsum("ck,kyx->cyx", mixing, rng.standard_normal((3, 4, 4)))[None]
        coarse = np.kron(causes, np.ones((1, 1, 3, 3)))
        made.append({"x": (coarse + 0.1 * rng.standard_normal(SHAPE)).astype(np.float32)})
    return made


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float")
    with Graph("network", folder) as g:
        network(g)
    return folder


@pytest.fixture(scope="module")
def nearest(floats: Path, samples: list[dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nearest")
    quantize_component(floats, samples, folder)
    return folder


@pytest.fixture(scope="module")
def rounded(floats: Path, samples: list[dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, work = tmp_path_factory.mktemp("rounded"), tmp_path_factory.mktemp("work")
    quantize_by_adaround(floats, samples, folder, RoundingData(samples[:20], samples[20:], work), lambda: None)
    return folder


def assert_pieces_equal_the_whole(
    folder: Path,
    names: list[str],
    segments: QdqSegments | FloatSegments,
    samples: list[dict[str, np.ndarray]],
    work: Path,
) -> None:
    """Activations by their names, inputs too, from a graph run piece by piece and as a whole."""
    whole = onnx.load(folder / MODEL_FILE)
    computed = [name for name in names if name not in samples[0]]
    for name in computed:
        whole.graph.output.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = reference_session(whole)
    expected = [{**feeds, **dict(zip(computed, session.run(computed, feeds), strict=True))} for feeds in samples]
    for name in names:
        segments.reach(name)
        for found, values in zip(segments.values(name), expected, strict=True):
            assert np.array_equal(found, values[name])
    segments.close()
    assert not list(work.iterdir())


def test_pieces_give_what_the_whole_graph_gives(
    nearest: Path, samples: list[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    sources = list(by_source(quantized_layers(load_structure(nearest))))
    assert len(sources) == 4 - 1, "early and first read the same"
    assert_pieces_equal_the_whole(nearest, sources, QdqSegments(nearest, samples, {}, tmp_path), samples, tmp_path)


def test_pieces_give_what_the_whole_float_graph_gives(
    floats: Path, samples: list[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    graph = FloatGraph(floats)
    sources = list(dict.fromkeys(layer.input for layer in graph.roles.layers.values()))
    assert sources[0] == "x"
    assert_pieces_equal_the_whole(floats, sources, FloatSegments(graph, samples, tmp_path), samples, tmp_path)


def integers(folder: Path) -> dict[str, np.ndarray]:
    """The stored weights, by layer."""
    return {layer.name: read_array(layer.weight, folder) for layer in quantized_layers(load_structure(folder))}


def test_it_errs_less_than_nearest_on_other_samples(
    floats: Path, nearest: Path, rounded: Path, samples: list[dict[str, np.ndarray]]
) -> None:
    expected = np.array([run(floats, feeds) for feeds in samples[20:]])
    before, after = (
        sqnr_db(expected, np.array([run(folder, feeds) for feeds in samples[20:]])) for folder in (nearest, rounded)
    )
    assert after > before + 3


def test_only_weights_differ_and_by_one_step(nearest: Path, rounded: Path) -> None:
    before, after = integers(nearest), integers(rounded)
    assert len(before) == 4
    for name, old in before.items():
        difference = after[name].astype(int) - old
        assert np.abs(difference).max() == 1, name
    for name in ("encodings.json", "encodings.2.0.0.json"):
        assert (nearest / name).read_bytes() == (rounded / name).read_bytes()


def test_the_report_has_a_row_for_each_layer(rounded: Path) -> None:
    report = json.loads((rounded / REPORT_FILE).read_text("utf-8"))
    assert report["summary"]["adaround"] == 4
    assert [row["op"] for row in report["layers"]] == ["Conv", "Conv", "Conv", "Gemm"]
    assert all(row["gain_db"] > 0 and row["rows"] > row["held_out_rows"] > 0 for row in report["layers"])
    assert all(0 < row["changed"] < 1 for row in report["layers"])


def test_a_layer_that_gains_nothing_on_other_data_keeps_nearest(
    floats: Path, nearest: Path, samples: list[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """Rounded on maps of one kind, judged on plain noise, of which no correlation is true."""
    noise = np.random.default_rng(22).standard_normal((8, *SHAPE)).astype(np.float32)
    training, judging = samples[:20], [{"x": x} for x in noise]
    folder = tmp_path / "out"
    folder.mkdir()
    quantize_by_adaround(floats, samples, folder, RoundingData(training, judging, tmp_path / "work"), lambda: None)
    rows = {row["layer"]: row for row in json.loads((folder / REPORT_FILE).read_text("utf-8"))["layers"]}
    kept = [name for name, row in rows.items() if row["kept"] == "nearest"]
    assert kept
    for name in kept:
        assert rows[name]["training_gain_db"] > 0
        assert rows[name]["gain_db"] <= 0
        assert np.array_equal(integers(folder)[name], integers(nearest)[name])


def test_other_guidance_samples_are_covered_and_not_rounded_on(
    floats: Path, rounded: Path, samples: list[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """Ranges are as without AdaRound, whose own data is the default guidance's samples alone."""
    others = [{"x": 3 * feeds["x"]} for feeds in samples[:2]]
    out, by_nearest = tmp_path / "out", tmp_path / "nearest"
    out.mkdir()
    by_nearest.mkdir()
    data = RoundingData(samples[:20], samples[20:], tmp_path / "work")
    quantize_by_adaround(floats, samples, out, data, other_guidance_samples=others)
    quantize_component(floats, samples, by_nearest, other_guidance_samples=iter(others))
    encodings = [
        json.loads((folder / "encodings.json").read_text("utf-8"))["activation_encodings"]
        for folder in (out, by_nearest, rounded)
    ]
    assert encodings[0] == encodings[1]
    assert encodings[0] != encodings[2]
    x = [{entry["name"]: entry["scale"][0] for entry in each}["x"] for each in encodings]
    # Three times the default guidance's range instead of twice.
    assert x[0] == pytest.approx(1.5 * x[2], rel=0.2)


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from qnn_sd.quantize import RoundingData, quantize_by_adaround
floats, data, work, out, at = sys.argv[1:]
samples = [dict(x=x) for x in __import__("numpy").load(data)]
def each(done, _all):
    if done >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)
data = RoundingData(samples[:20], samples[20:], Path(work), each)
quantize_by_adaround(Path(floats), samples, Path(out), data, lambda: None)
"""


@pytest.mark.parametrize("at", [1, 3, 4])
def test_killed_it_goes_on_and_ends_with_the_same_bytes(
    at: int, floats: Path, rounded: Path, samples: list[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    np.save(tmp_path / "data.npy", np.array([feeds["x"] for feeds in samples]))
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    arguments = [str(floats), str(tmp_path / "data.npy"), str(work), str(out), str(at)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    groups = {path: path.stat().st_mtime_ns for path in work.glob("group-*.npz")}
    assert groups
    lost = min(groups)
    if at == 4:
        # Renamed before the power went, but never on the disk.
        lost.write_bytes(lost.read_bytes()[:200])
        del groups[lost]
    if at == 3:
        (work / "ranges.json").write_text("null", "utf-8")
    seen: dict[Path, int] = {}
    measured = []

    def look(_done: int, _all: int) -> None:
        seen.update({path: path.stat().st_mtime_ns for path in groups})

    data = RoundingData(samples[:20], samples[20:], work, look)
    quantize_by_adaround(floats, samples, out, data, lambda: measured.append(1))
    assert seen == groups, "what was done is not done again"
    assert bool(measured) == (at == 3), "nor are ranges measured again, unless they are damaged"
    assert not work.exists()
    for path in rounded.iterdir():
        assert sha256_of_file(out / path.name) == sha256_of_file(path), path.name
