"""Zero is a border of a range only where nothing can cross it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.encodings import encodings_from_ranges
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.ranges import non_negative_tensors

CERTAIN = {"square", "pooled", "shared", "raised", "root", "inverse", "certain"}
UNCERTAIN = {"turned", "lessened", "mixed"}


@pytest.fixture
def graph(tmp_path_factory: pytest.TempPathFactory) -> FloatGraph:
    """Squares and what is made of them; then by a negative weight, a negative addend, something of both signs."""
    constants = {
        "share": np.full((2, 4, 1, 1), 0.25, np.float32),
        "epsilon": np.array([1e-5], np.float32),
        "one": np.array([1.0], np.float32),
        "sharp": np.full((4, 2, 1, 1), 0.5, np.float32),
        "turning": np.array([0.5, -0.25], np.float32).reshape(1, 2, 1, 1),
        "less": np.array([-1.0], np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("GlobalAveragePool", ["square"], ["pooled"]),
        helper.make_node("Conv", ["pooled", "share"], ["shared"]),
        helper.make_node("Add", ["shared", "epsilon"], ["raised"]),
        helper.make_node("Sqrt", ["raised"], ["root"]),
        helper.make_node("Div", ["one", "root"], ["inverse"]),
        helper.make_node("Conv", ["inverse", "sharp"], ["certain"]),
        helper.make_node("Conv", ["shared", "turning"], ["turned"]),
        helper.make_node("Add", ["shared", "less"], ["lessened"]),
        helper.make_node("Mul", ["x", "certain"], ["mixed"]),
    ]
    folder = tmp_path_factory.mktemp("graph")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("turned", "lessened", "mixed")]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "signs", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 21)]
    )
    model.ir_version = 10
    save(model, str(folder / MODEL_FILE))
    return FloatGraph(folder)


def test_what_is_made_of_squares_is_certain_and_nothing_else(graph: FloatGraph) -> None:
    assert non_negative_tensors(graph) == CERTAIN
    assert not non_negative_tensors(graph) & UNCERTAIN


@pytest.mark.parametrize("side", [1, -1])
def test_a_range_on_one_side_of_zero_gets_a_margin_on_both(side: int, graph: FloatGraph) -> None:
    """A mean that calibration met between 0.5 and 2.5: the next image's may be -0.5."""
    ends = (0.5, 2.5) if side > 0 else (-2.5, -0.5)
    measured = dict.fromkeys(CERTAIN, (0.5, 2.5)) | dict.fromkeys(("x", *UNCERTAIN), ends)
    chosen = encodings_from_ranges(graph, measured).activations
    for name in UNCERTAIN:
        low, high = chosen[name].range()
        # To half a step.
        assert low <= -1.499
        assert high >= 1.499
        # The far end is twice as far as what was met.
        assert (high if side > 0 else -low) >= 4.999
    for name in CERTAIN - {"square"}:
        assert chosen[name].range()[0] == 0, name


def test_a_range_on_both_sides_gets_its_room_once(graph: FloatGraph) -> None:
    measured = dict.fromkeys((*CERTAIN, *UNCERTAIN), (0.5, 2.5)) | {"x": (-1.0, 2.0)}
    low, high = encodings_from_ranges(graph, measured).activations["x"].range()
    assert low == pytest.approx(-4, abs=1e-3)
    assert high == pytest.approx(4, abs=1e-3)


def test_the_demos_norms_are_certain_of_their_variance_and_not_of_their_mean(pipeline: BuildPipeline) -> None:
    graph = FloatGraph(pipeline.export("unet").folder)
    found = non_negative_tensors(graph)
    norms = [name.removesuffix(".variance") for name in graph.roles.floats if name.endswith(".variance")]
    assert len(norms) > 10
    for norm in norms:
        assert {f"{norm}.{part}" for part in ("squared", "variance", "deviation", "inverse")} <= found
        assert f"{norm}.mean" not in found
        assert f"{norm}.channel_mean" not in found
