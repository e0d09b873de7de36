"""Keys and values of attention at 8 bits, for the HTP versions that can't multiply by int16 ones.

There is one QDQ graph for all SoCs. Where an HTP doesn't take an int16 second operand (``config/htp_versions.py``), the
graph that is compiled has int8 in its place, over the same range. What that costs shows in the verification, which
holds the binary against the QDQ graph as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.process import Job
from qnn_sd.config import takes_int16_operands
from qnn_sd.onnx_files import read_array

# How many steps of int16 one of int8 has, over the same symmetric range.
_STEPS = np.float32((2**15 - 1) / (2**7 - 1))


@contextmanager
def with_fitting_operands(job: Job) -> Iterator[tuple[Job, int]]:
    """A job whose graph has no second operand that its HTPs don't take, and how many of them have int8 instead.

    Args:
        job: what is to be compiled; handed on as it is where nothing stands against it.
    """
    if all(takes_int16_operands(htp_arch) for _soc_model, htp_arch in job.socs):
        yield job, 0
        return
    graph = QdqGraph(job.source)
    narrowed = _narrow(graph)
    if not narrowed:
        yield job, 0
        return
    with tempfile.TemporaryDirectory(prefix="qnn-sd-narrow-") as aside:
        graph.save(Path(aside))
        yield replace(job, graph=Path(aside)), narrowed


def _narrow(graph: QdqGraph) -> int:
    """Gives int16 second operands of products int8; returns how many there were."""
    operands = int16_operands(graph)
    for dequantize in operands:
        _set_int8(graph, dequantize)
    return len(operands)


def int16_operands(graph: QdqGraph) -> list[onnx.NodeProto]:
    """The DequantizeLinear of each int16 second operand of a product, in the graph's order."""
    found: dict[str, onnx.NodeProto] = {}
    for node in graph.ops:
        dequantize = graph.maker.get(node.input[1]) if node.op_type == "MatMul" else None
        if dequantize is None or dequantize.op_type != "DequantizeLinear" or dequantize.input[0] not in graph.maker:
            continue
        zero_point = graph.constants.get(dequantize.input[2]) if len(dequantize.input) > 2 else None
        if zero_point is not None and zero_point.data_type == TensorProto.INT16:
            found.setdefault(dequantize.input[0], dequantize)
    return list(found.values())


def _set_int8(graph: QdqGraph, dequantize: onnx.NodeProto) -> None:
    """Gives the pair around a tensor int8's scale and zero point."""
    tensor = dequantize.input[0]
    scale = np.asarray(read_array(graph.constants[dequantize.input[1]], graph.folder), np.float32) * _STEPS
    names = [f"{tensor}.int8_scale", f"{tensor}.int8_zero_point"]
    graph.model.graph.initializer.extend(
        numpy_helper.from_array(array, name)
        for array, name in zip((scale, np.zeros(scale.shape, np.int8)), names, strict=True)
    )
    for each in (graph.maker[tensor], *graph.readers[tensor]):
        each.input[1:] = names
