"""Encodings in and out: AIMET's JSON, what people bring, and how the QDQ graph is written."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cli_here import CliHere
from conftest import ROOT
from graphs import run
from onnx import TensorProto

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.errors import QuantizeError
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.onnx_files import DATA_FILE, MODEL_FILE, load_structure, read_array
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize import quantize_component, quantize_with_stand_ins
from qnn_sd.quantize.encodings import write_1_0_0, write_2_0_0
from qnn_sd.quantize.encodings.aimet_format import read
from qnn_sd.quantize.encodings.encoding import Encoding, asymmetric, second_operand
from qnn_sd.quantize.graph.op_rules import DATA_MOVEMENT_OPS

VERSIONS = ("encodings.json", "encodings.2.0.0.json")
Fields = dict[str, Any]


def save(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


# What each of these stands for, worked out by hand from AIMET's specification. -1 to 4.1 in steps of
# 0.02 with 8 bits: zero is the 50th integer. Symmetric 8 bits: -128 to 127 steps around zero.
BY_HAND_1_0_0 = {
    "version": "1.0.0",
    "activation_encodings": [
        {
            "name": "a",
            "enc_type": "PER_TENSOR",
            "dtype": "INT",
            "bw": 8,
            "is_sym": False,
            "scale": [0.02],
            "offset": [-50],
        },
    ],
    "param_encodings": [
        {
            "name": "w",
            "enc_type": "PER_CHANNEL",
            "dtype": "INT",
            "bw": 8,
            "is_sym": True,
            "scale": [0.5, 0.25],
            "offset": [-128.0, -128.0],
        },
    ],
}
BY_HAND_2_0_0 = {
    "version": "2.0.0",
    "encodings": [
        {"name": "a", "output_dtype": "uint8", "y_scale": 0.02, "y_zero_point": 50},
        {"name": "w", "output_dtype": "int8", "y_scale": [0.5, 0.25], "axis": 0},
    ],
}


@pytest.mark.parametrize("document", [BY_HAND_1_0_0, BY_HAND_2_0_0], ids=["1.0.0", "2.0.0"])
def test_both_versions_say_the_same(document: Fields, tmp_path: Path) -> None:
    found = read(save(tmp_path / "e.json", document))
    a, w = found["a"], found["w"]
    assert (a.bits, a.signed, a.scale.tolist(), a.zero_point, a.per_channel) == (8, False, [0.02], 50, False)
    assert (w.bits, w.signed, w.scale.tolist(), w.zero_point, w.per_channel) == (8, True, [0.5, 0.25], 0, True)


def test_what_is_written_is_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    activations = {"a": Encoding(8, False, np.array(0.5, np.float32), 50)}
    parameters = {"w": Encoding(8, True, np.array([0.5, 0.25], np.float32), 0, 0)}
    path = tmp_path / "e.json"
    write_1_0_0(path, activations, parameters)
    expected = json.loads(json.dumps(BY_HAND_1_0_0).replace("0.02", "0.5"))
    assert json.loads(path.read_text()) == expected
    write_2_0_0(path, activations, parameters)
    assert json.loads(path.read_text()) == json.loads(json.dumps(BY_HAND_2_0_0).replace("0.02", "0.5"))


@pytest.fixture(scope="module")
def plain(cache: Path) -> BuildPipeline:
    """The demo model's pipeline with weights rounded to nearest: of AdaRound's choices, encodings don't tell."""
    return BuildPipeline(load_model("tiny-sd"), Console(quiet=True), cache=cache, rounding="nearest")


@pytest.mark.parametrize("name", VERSIONS)
@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_our_own_file_gives_the_same_graph(component: str, name: str, plain: BuildPipeline, tmp_path: Path) -> None:
    made = plain.quantize(component)
    quantize_component(plain.export(component).folder, [], tmp_path, encodings=made.file(name))
    for file in (MODEL_FILE, DATA_FILE, *VERSIONS):
        assert (tmp_path / file).read_bytes() == made.file(file).read_bytes(), file


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_what_aimet_leaves_out_follows(component: str, plain: BuildPipeline, tmp_path: Path) -> None:
    """Without entries for what only moves and for norms' betas, the graph is the same."""
    made, source = plain.quantize(component), plain.export(component).folder
    document = json.loads(made.file(VERSIONS[1]).read_text())
    nodes = load_structure(source).graph.node
    left_out = {node.output[0] for node in nodes if node.op_type in DATA_MOVEMENT_OPS}
    left_out |= {node.input[2] for node in nodes if node.op_type == "LayerNormalization"}
    document["encodings"] = [entry for entry in document["encodings"] if entry["name"] not in left_out]
    (folder := tmp_path / "qdq").mkdir()
    quantize_component(source, [], folder, encodings=save(tmp_path / "e.json", document))
    for file in (MODEL_FILE, DATA_FILE):
        assert (folder / file).read_bytes() == made.file(file).read_bytes(), file


def test_encodings_of_another_model_are_refused_by_name(pipeline: BuildPipeline, tmp_path: Path) -> None:
    (folder := tmp_path / "qdq").mkdir()
    with pytest.raises(QuantizeError) as caught:
        quantize_component(
            pipeline.export("unet").folder, [], folder, encodings=pipeline.quantize("text_encoder").file(VERSIONS[0])
        )
    why = caught.value.why
    assert "no encoding for" in why
    assert "sample, timestep, encoder_hidden_states" in why
    assert "that the graph doesn't have" in why
    assert "embeddings.sum" in why
    assert " more)" in why
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions with a Relu between them."""
    folder = tmp_path_factory.mktemp("small")
    with Graph("small", folder) as g:
        weights = RandomTensors(4)
        x = conv(g, weights, "first", g.input("x", (1, 3, 6, 6)), 5)
        g.output(conv(g, weights, "second", g.node("Relu", [x], x.shape, "relu"), 4), "y")
    return folder


def small_document() -> Fields:
    activations = [{"name": name, "output_dtype": "uint16", "y_scale": 0.0001} for name in ("x", "first", "relu", "y")]
    for entry in activations:
        entry["y_zero_point"] = 30000
    sizes = {"first.weight": 5, "second.weight": 4}
    weights = [{"name": name, "output_dtype": "int8", "y_scale": [0.01] * n, "axis": 0} for name, n in sizes.items()]
    return {"version": "2.0.0", "encodings": activations + weights}


def bring(document: object, source: Path, tmp_path: Path) -> Path:
    (folder := tmp_path / "qdq").mkdir()
    quantize_component(source, [], folder, encodings=save(tmp_path / "brought.json", document))
    return folder


def change(name: str, **fields: Any) -> Callable[[Fields], None]:
    """Changes a tensor's entry; a field that becomes None is taken out."""

    def do(document: Fields) -> None:
        entry = next(entry for entry in document["encodings"] if entry["name"] == name)
        entry.update(fields)
        for key in [key for key, value in entry.items() if value is None]:
            del entry[key]

    return do


def put(entry: Fields) -> Callable[[Fields], None]:
    return lambda document: document["encodings"].append(entry)


NAN = float("nan")
BIAS = {"name": "first.bias", "output_dtype": "int32", "axis": 0}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda d: d["encodings"].pop(1), r"no encoding for 1 tensor \(first\)"),
        (put({"name": "other", "output_dtype": "uint8", "y_scale": 1.0}), r"encodings for 1 tensor \(other\) that"),
        (put({"name": "x", "output_dtype": "uint8", "y_scale": 1.0}), "two entries for x"),
        (put({"output_dtype": "uint8", "y_scale": 1.0}), "without a name"),
        (change("x", output_dtype="float8e4m3fn"), "of x .*(?s:.*)float8e4m3fn"),
        (change("x", output_dtype="uint4"), "of x .*(?s:.*)4 bits"),
        (change("x", y_scale=[0.1, 0.2], axis=1), "of x .*(?s:.*)2 scales"),
        (change("x", y_scale=[0.1, 0.2]), "of x .*(?s:.*)no axis"),
        (change("x", y_scale=0.0), "of x .*(?s:.*)y_scale holds 0.0"),
        (change("x", y_scale=-0.1), "of x .*(?s:.*)y_scale holds -0.1"),
        (change("x", y_scale=NAN), "of x .*(?s:.*)y_scale holds nan"),
        (change("x", y_scale=1e-60), "of x .*(?s:.*)y_scale holds 1e-60"),
        (change("x", y_scale="wide"), "of x .*(?s:.*)no list of numbers"),
        (change("x", y_scale=None), "of x "),
        (change("x", y_scale={"x": [1], "x_scale": 1.0}), "of x .*(?s:.*)scale is quantized"),
        (change("x", y_zero_point=0.5), "of x .*(?s:.*)no whole number"),
        (change("x", y_zero_point=70000), "of x .*(?s:.*)doesn't hold zero"),
        (change("first.weight", y_scale=[0.1] * 4), "of first.weight .*(?s:.*)4 scales, the weight 5 output channels"),
        (change("first.weight", axis=1), "of first.weight .*(?s:.*)axis is 1, the output channels' is 0"),
        (change("first.weight", axis=7), "of first.weight .*(?s:.*)axis is 7"),
        (change("first.weight", output_dtype="int2"), "of first.weight .*(?s:.*)2 bits"),
        (change("first.weight", output_dtype="int16"), "of first.weight .*(?s:.*)16 bits"),
        (change("first.weight", output_dtype="int4", block_size=16), "of first.weight .*(?s:.*)one scale a block"),
        (change("first.weight", output_dtype="int4", y_scale=0.1, axis=None), "4 bits and one scale for the whole"),
        (
            change("first.weight", output_dtype="uint4", y_zero_point=[128] * 5),
            "of first.weight .*(?s:.*)not symmetric",
        ),
        (change("first.weight", y_zero_point=[3] * 5), "of first.weight .*(?s:.*)not symmetric"),
        (change("first.weight", y_zero_point=[0, 1, 0, 0, 0]), "of first.weight .*(?s:.*)differs from channel"),
        (change("first.weight", block_size=16), "of first.weight .*(?s:.*)one scale a block"),
        (change("first.weight", y_scale=[1e-12] * 5), "of first.weight .*(?s:.*)first.bias saturates"),
        (put({**BIAS, "y_scale": [0.5] * 5}), "of first.bias .*(?s:.*)Leave the biases"),
        (put({**BIAS, "y_scale": [1e-6] * 5, "output_dtype": "int8"}), "of first.bias "),
        (lambda d: d.update(version="0.6.1"), "version 0.6.1"),
        (lambda d: d.pop("version"), "no version"),
        (lambda d: d.update(encodings={"x": []}), "lacks a list"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    wrong: Callable[[Fields], object], named: str, small: Path, tmp_path: Path
) -> None:
    document = small_document()
    wrong(document)
    with pytest.raises(QuantizeError, match=named):
        bring(document, small, tmp_path)
    assert not list((tmp_path / "qdq").iterdir())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dtype": "FLOAT", "bw": 16}, "dtype is FLOAT"),
        ({"enc_type": "PER_BLOCK", "block_size": 16}, "enc_type is PER_BLOCK"),
        ({"enc_type": "LPBQ"}, "enc_type is LPBQ"),
        ({"bw": "8"}, "bw is 8"),
        ({"is_sym": "False"}, "is_sym is False"),
        ({"offset": [-50, -50]}, "no list of 1"),
        ({"scale": [0.1, 0.1], "offset": [0, 0]}, "PER_TENSOR and has 2 scales"),
        ({"zero_point_shift": [0.5]}, "zero_point_shift"),
    ],
)
def test_kinds_of_1_0_0_that_are_not_taken_are_named(fields: Fields, named: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(BY_HAND_1_0_0))
    document["activation_encodings"][0].update(fields)
    with pytest.raises(QuantizeError, match=rf"of a .*(?s:.*){named}"):
        read(save(tmp_path / "e.json", document))


def test_a_file_that_is_no_encodings_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match=r"gone.json can't be read"):
        read(tmp_path / "gone.json")
    (tmp_path / "e.json").write_bytes(b"\xff{")
    with pytest.raises(QuantizeError, match=r"e.json is no JSON"):
        read(tmp_path / "e.json")
    with pytest.raises(QuantizeError, match="no JSON object"):
        read(save(tmp_path / "e.json", [1]))


def stored(folder: Path) -> dict[str, np.ndarray]:
    return {tensor.name: read_array(tensor, folder) for tensor in load_structure(folder).graph.initializer}


def test_what_a_person_brings_is_what_the_graph_says(small: Path, tmp_path: Path) -> None:
    document = small_document()
    for edit in (
        change("x", output_dtype="int16", y_zero_point=None),  # signed and symmetric stays so
        change("first", output_dtype="int16", y_zero_point=100),  # signed with a zero point: the same, unsigned
        change("relu", output_dtype="uint8", y_zero_point=None),
        change("second.weight", y_scale=0.125, axis=None),  # one scale for the whole weight
        change("first.weight", output_dtype="uint8", y_zero_point=[128] * 5, axis=-4),
        put({**BIAS, "y_scale": [1e-6] * 5}),  # what follows from x and first.weight
    ):
        edit(document)
    folder = bring(document, small, tmp_path)
    found = stored(folder)
    assert found["x.dq.zero_point"].dtype == np.int16
    assert (found["first.dq.zero_point"].dtype, found["first.dq.zero_point"]) == (np.uint16, 32768 + 100)
    assert (found["relu.dq.zero_point"].dtype, found["relu.dq.zero_point"]) == (np.uint8, 0)
    assert (found["second.weight.scale"], found["second.weight.scale"].shape) == (0.125, ())
    weight = stored(small)["second.weight"]
    assert (found["second.weight.q"] == np.clip(np.rint(weight / np.float32(0.125)), -128, 127)).all()
    assert found["second.bias.scale"] == np.float32(0.0001) * np.float32(0.125)
    assert (found["first.weight.zero_point"].dtype, found["first.weight.zero_point"].shape) == (np.int8, (5,))
    onnx.checker.check_model(folder / MODEL_FILE, full_check=True)
    assert np.isfinite(run(folder, {"x": np.ones((1, 3, 6, 6), np.float32)})).all()


def test_what_is_moved_has_the_nearest_encoding_that_is_given(tmp_path: Path) -> None:
    """A file may give one moved tensor an encoding of its own: what is moved on has that one."""
    (source := tmp_path / "float").mkdir()
    with Graph("moves", source) as g:
        x = g.input("x", (1, 2, 3))
        first = g.node("Transpose", [x], (1, 3, 2), "first", perm=[0, 2, 1])
        g.output(g.node("Transpose", [first], (1, 2, 3), "second", perm=[0, 2, 1]), "y")
    entries = [
        {"name": name, "output_dtype": "uint16", "y_scale": scale} for name, scale in (("x", 0.5), ("first", 2.0))
    ]
    found = stored(bring({"version": "2.0.0", "encodings": entries}, source, tmp_path))
    assert (found["x.dq.scale"], found["first.dq.scale"], found["y.scale"]) == (0.5, 2.0, 2.0)
    found = stored(bring({"version": "2.0.0", "encodings": entries[:1]}, source, tmp_path / "float"))
    assert (found["x.dq.scale"], found["first.dq.scale"], found["y.scale"]) == (0.5, 0.5, 0.5)


def test_the_second_operand_covers_what_the_first_encoding_covers() -> None:
    for low, high in [(-3.0, 1.0), (-1.0, 3.0), (0.0, 2.0)]:
        wide = second_operand(asymmetric(low, high))
        assert (wide.bits, wide.signed, wide.zero_point) == (16, True, 0)
        assert float(wide.scale) * 32767 == pytest.approx(max(-low, high), rel=1e-4)


def test_the_readmes_folder_for_ai_hub_is_what_its_client_takes(pipeline: BuildPipeline, tmp_path: Path) -> None:
    """One .onnx, one .data, one .encodings and nothing else, as qai-hub's client checks before an upload."""
    text = (ROOT / "docs" / "encodings.md").read_text("utf-8")
    script = next(block.split("```")[0] for block in text.split("```python\n")[1:] if ".aimet" in block)
    for name, made in {"float": pipeline.export("text_encoder"), "qdq": pipeline.quantize("text_encoder")}.items():
        (tmp_path / name).symlink_to(made.folder)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    folder = tmp_path / "unet.aimet"
    assert sorted(path.name for path in folder.iterdir()) == ["model.data", "model.encodings", "model.onnx"]
    model = onnx.load(folder / "model.onnx")
    outputs = {name for node in model.graph.node for name in node.output}
    names = outputs | {value.name for value in [*model.graph.input, *model.graph.initializer]}
    assert {entry.name for entry in read(folder / "model.encodings").values()} <= names


LAYERS, SIZE = 40, 1024


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 layers of 4 MB."""
    folder = tmp_path_factory.mktemp("deep")
    weights = RandomTensors(1)
    with Graph("deep", folder) as g:
        x = g.input("x", (1, SIZE, 2, 2))
        for index in range(LAYERS):
            x = conv(g, weights, f"layer{index}", x, SIZE, kernel=1)
        g.output(x, "y")
    return folder


def test_memory_is_bounded_by_the_largest_layer(deep: Path, tmp_path: Path) -> None:
    layer = SIZE * SIZE * 4
    assert (deep / DATA_FILE).stat().st_size > LAYERS * layer
    tracemalloc.start()
    quantize_with_stand_ins(deep, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * layer
    assert (tmp_path / MODEL_FILE).stat().st_size < 2 * layer  # scales and zero points alone
    weights = [t for t in load_structure(tmp_path).graph.initializer if t.data_type == TensorProto.INT8 and t.dims[1:]]
    assert len(weights) == LAYERS
    assert all(tensor.data_location == TensorProto.EXTERNAL for tensor in weights)


FILL = """
import sys
from pathlib import Path
from qnn_sd.artifact import Recipe, load_or_build
from qnn_sd.errors import OutputError
from qnn_sd.quantize import quantize_with_stand_ins

source, cache = map(Path, sys.argv[1:])
try:
    load_or_build(cache, Recipe("quantize", "deep", {}, {}, {}), lambda folder: quantize_with_stand_ins(source, folder))
except OutputError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_disk_that_fills_up_while_weights_are_written_leaves_nothing(deep: Path, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past 8 MB, as a full disk would refuse it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))

    done = subprocess.run(
        [sys.executable, "-c", FILL, deep, tmp_path], capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 30, done.stderr
    assert "Can't write" in done.stdout
    assert "File too large" in done.stdout
    assert not list((tmp_path / "quantize").iterdir())
    assert (deep / DATA_FILE).stat().st_size > LAYERS * SIZE * SIZE * 4


def test_the_road_takes_what_is_given_and_measures_the_rest(plain: BuildPipeline, cache: Path, tmp_path: Path) -> None:
    measured = {component: plain.quantize(component) for component in ("text_encoder", "vae_decoder")}
    shutil.copy(measured["text_encoder"].file(VERSIONS[1]), tmp_path / "text_encoder.json")

    def given() -> BuildPipeline:
        return BuildPipeline(
            load_model("tiny-sd"), Console(quiet=True), cache=cache, encodings=tmp_path, rounding="nearest"
        )

    made = given().quantize("text_encoder")
    assert made.key != measured["text_encoder"].key
    assert made.file(DATA_FILE).read_bytes() == measured["text_encoder"].file(DATA_FILE).read_bytes()
    assert given().quantize("vae_decoder").key == measured["vae_decoder"].key
    # Another file makes another artifact.
    shutil.copy(measured["text_encoder"].file(VERSIONS[0]), tmp_path / "text_encoder.json")
    assert given().quantize("text_encoder").key != made.key


def test_encodings_on_the_command_line_are_checked_by_name(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    (folder := cli_here.folder / "mine").mkdir()
    for name in ("nowhere", "mine"):
        assert f"{name} holds no encodings" in cli_here.refused(13, "compile", "--encodings", name)
    shutil.copy(pipeline.quantize("text_encoder").file(VERSIONS[0]), folder / "unte.json")
    assert "Did you mean unet?" in cli_here.refused(13, "compile", "--encodings", "mine")
    (folder / "unte.json").rename(folder / "text_encoder.json")
    document = json.loads((folder / "text_encoder.json").read_text())
    document["activation_encodings"].pop()
    save(folder / "text_encoder.json", document)
    message = cli_here.refused(13, "compile", "--encodings", "mine")
    assert "not for this graph" in message
    assert "no encoding for 1 tensor (" in message


def test_given_encodings_are_another_build_for_every_command_that_runs_one(
    cli_here: CliHere, pipeline: BuildPipeline
) -> None:
    (cli_here.folder / "mine").mkdir()
    shutil.copy(pipeline.quantize("unet").file(VERSIONS[0]), cli_here.folder / "mine" / "unet.json")
    for given, cached in (((), True), (("--encodings", "mine"), False)):
        stages = cli_here.json("run", "a red circle", "--target", "cpu", "--precision", "w8a16", "--dry-run", *given)[
            "stages"
        ]
        found = {stage["component"]: stage["cached"] for stage in stages if stage["stage"] == "quantize"}
        assert found["unet"] is cached
