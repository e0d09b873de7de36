"""ONNX Runtime on the CPU as the reference: sessions that compute what the graph says, and nothing else.

An optimizer may replace nodes by ones that compute something else: from 1.32 on, ONNX Runtime's default level turns
DequantizeLinear and MatMul of int8 weights into MatMulNBits, which rounds activations to 8 bits. A QDQ graph of the
demo's text encoder is 41 dB from its own definition then. So whatever serves as a reference, or feeds AdaRound, runs
with the optimizer off. It costs no time: a QDQ graph runs as fast.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qnn_sd import resources
from qnn_sd.errors import VerificationError
from qnn_sd.interruption import run_session
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import EXTERNAL_FOLDER_ENTRY
from qnn_sd.runner import Feeds, Outputs
from qnn_sd.session_loading import loading
from qnn_sd.toolchain import load_toolchains

LEVEL = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
# float32 against float64: what is left are the last bits of float32.
_DEFINITION_DB = 100.0


def reference_session(
    model: Path | onnx.ModelProto,
    *,
    folder: Path | None = None,
    threads: int = 0,
    in_order: bool = False,
    level: onnxruntime.GraphOptimizationLevel = LEVEL,
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU in which every node is computed as ONNX defines it.

    Args:
        model: path of an ONNX file, or a model in memory.
        folder: of a model in memory: what its external tensors' locations are relative to.
        threads: for the ops; 0 for as many as there are cores for this process.
        in_order: whether nodes run in the graph's order. Left to itself the runtime runs the longest way to an output
            first, and keeps what shorter ones will need: where every activation is looked at, that is all of them.
        level: of the optimizer; any other than ``LEVEL`` is no reference.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    options.intra_op_num_threads = threads or resources.session_threads()
    if in_order:
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    if folder is not None:
        options.add_session_config_entry(EXTERNAL_FOLDER_ENTRY, str(folder))
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    with loading(model) if isinstance(model, Path) else nullcontext():
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def outputs_of(session: onnxruntime.InferenceSession, feeds: Feeds) -> Outputs:
    """Runs a session once and names its outputs."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, run_session(session, names, feeds), strict=True))


def check_reference(level: onnxruntime.GraphOptimizationLevel = LEVEL) -> float:
    """Holds the installed ONNX Runtime against the definition of a small QDQ graph, computed in numpy.

    The graph has what optimizers are known to replace: weights in int8 per channel in front of a MatMul and a Conv.

    Args:
        level: of the optimizer.

    Returns:
        SQNR in dB against the definition.

    Raises:
        VerificationError: less than 100 dB: its runs are no reference.
    """
    model, feeds, expected = _small_qdq_graph()
    found = reference_session(model, level=level).run(None, feeds)[0]
    sqnr = sqnr_db(expected, found)
    if not sqnr >= _DEFINITION_DB:
        raise VerificationError(
            f"ONNX Runtime {onnxruntime.__version__} doesn't compute QDQ graphs as ONNX defines them",
            why=f"A MatMul and a Conv with int8 weights reach {sqnr:.1f} dB SQNR from their definition, where "
            f"{_DEFINITION_DB:.0f} dB is the least. What it computes can't judge a binary.",
            hint=f"Install versions that were tried: {load_toolchains().chosen.install}",
        )
    return sqnr


def _small_qdq_graph() -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]], NDArray[np.float64]]:
    """MatMul, then a 1x1 Conv, W8A16 in QDQ form; an input, and the output by the definition, float64.

    Only the input is rounded, by a power of two: no product lies near the middle of two steps, where float32's last bit
    would decide and another processor decide otherwise.
    """
    rng = np.random.default_rng(7)
    width, tokens, scale = 64, 8, 2.0**-12
    weights = rng.integers(-127, 128, (2, width, width)).astype(np.int8)
    steps = rng.uniform(0.5, 1.5, (2, width)).astype(np.float32) / 1024
    x = rng.standard_normal((1, tokens, width)).astype(np.float32)

    rounded = (np.clip(np.rint(x / scale) + 32768, 0, 65535) - 32768) * scale
    product = rounded.astype(np.float64) @ (weights[0] * steps[0].astype(np.float64))
    kernel = weights[1] * steps[1].astype(np.float64)[:, None]
    expected = np.einsum("oc,btc->bot", kernel, product)[..., None]

    constants = [
        numpy_helper.from_array(np.array(scale, np.float32), "step"),
        numpy_helper.from_array(np.array(32768, np.uint16), "zero"),
        numpy_helper.from_array(weights[0], "matrix"),
        numpy_helper.from_array(weights[1][..., None, None], "kernel"),
        *(numpy_helper.from_array(steps[number], f"steps{number}") for number in (0, 1)),
        numpy_helper.from_array(np.zeros(width, np.int8), "zeros"),
        numpy_helper.from_array(np.array([1, width, tokens, 1], np.int64), "shape"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["x.q"]),
        helper.make_node("DequantizeLinear", ["x.q", "step", "zero"], ["x.dq"]),
        helper.make_node("DequantizeLinear", ["matrix", "steps0", "zeros"], ["matrix.dq"], axis=1),
        helper.make_node("MatMul", ["x.dq", "matrix.dq"], ["product"]),
        helper.make_node("Transpose", ["product"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "shape"], ["map"]),
        helper.make_node("DequantizeLinear", ["kernel", "steps1", "zeros"], ["kernel.dq"], axis=0),
        helper.make_node("Conv", ["map", "kernel.dq"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, expected.shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model, {"x": x}, expected
