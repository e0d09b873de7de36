"""The CPU's run that everything is judged by computes the graph's definition, whatever the optimizer would like."""

from __future__ import annotations

import onnxruntime
import pytest
from other_runtime import OtherRuntime

from qnn_sd.reference import LEVEL, check_reference

# The first whose default level rounds what a QDQ graph doesn't round (MatMulNBits in place of int8 MatMuls).
ROUNDS_MORE = "1.32.0"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> OtherRuntime:
    return OtherRuntime(ROUNDS_MORE, tmp_path_factory.mktemp("onnxruntime"))


def test_the_reference_is_the_graphs_definition() -> None:
    assert LEVEL == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert check_reference() >= 100


def test_a_newer_runtime_computes_it_too(newer: OtherRuntime) -> None:
    found = newer.run("from qnn_sd.reference import check_reference; print(check_reference())")
    assert float(found) >= 100


def test_a_newer_runtime_at_its_default_level_is_refused(newer: OtherRuntime) -> None:
    code = """
from qnn_sd.errors import VerificationError
from qnn_sd.reference import check_reference
try:
    check_reference(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
except VerificationError as error:
    print(error)
"""
    assert f"ONNX Runtime {ROUNDS_MORE} doesn't compute QDQ graphs as ONNX defines them" in newer.run(code)
