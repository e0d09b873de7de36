"""What the compiler is given: no op of constants alone, and the numbers of the QDQ graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qnn_sd.build import Road
from qnn_sd.compile.float_constants import with_float_constants
from qnn_sd.compile.process import Job, run
from qnn_sd.config import load_profile
from qnn_sd.onnx_files import EXTERNAL_FOLDER_ENTRY, load_structure

STATIC = 4  # QNN_TENSOR_TYPE_STATIC
PROFILE = load_profile("sm8650")


@pytest.mark.parametrize("component", ["text_encoder", "unet"])
def test_constants_in_float_are_the_same_numbers(component: str, road: Road) -> None:
    folder = road.quantize(component).folder
    model = with_float_constants(folder)
    assert len(model.graph.node) < len(load_structure(folder).graph.node), "nothing was there to take away"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(EXTERNAL_FOLDER_ENTRY, str(folder))
    found, expected = (
        onnxruntime.InferenceSession(each, options, providers=["CPUExecutionProvider"])
        for each in (model.SerializeToString(), folder / "model.onnx")
    )
    feeds = next(iter(road.samples(road.calibration(), component)))
    np.testing.assert_array_equal(found.run(None, feeds)[0], expected.run(None, feeds)[0])


def test_no_op_of_the_compiler_has_constants_alone(road: Road, tmp_path: Path) -> None:
    """Compiled in parts, a graph with such an op may have a part without an input, and then the binary doesn't run."""
    dump = {"dump_json_qnn_graph": "1", "json_qnn_graph_dir": str(tmp_path)}
    job = Job(road.quantize("text_encoder").folder, tmp_path, PROFILE.soc_model, PROFILE.htp_arch, 1, dump)
    assert run(job, lambda _line: None).code == 0
    (told,) = (path for path in tmp_path.glob("*.json") if not path.stem.endswith("tensor_log"))
    graph = json.loads(told.read_text("utf-8"))["graph"]
    static = {name for name, tensor in graph["tensors"].items() if tensor["type"] == STATIC}
    assert any(node["type"] == "LayerNorm" for node in graph["nodes"].values())
    assert [name for name, node in graph["nodes"].items() if static.issuperset(node["input_names"])] == []
