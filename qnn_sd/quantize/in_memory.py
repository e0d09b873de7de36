"""Sessions of graphs that exist in memory only, with their weights in a folder."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from qnn_sd.onnx_files import EXTERNAL_FOLDER_ENTRY


def session_of(model: onnx.ModelProto, folder: Path) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU that runs nodes in the order of the graph.

    Left to itself the runtime runs the longest way to an output first, and keeps what shorter ones will need: where
    every activation is looked at, that is all of them.

    Args:
        model: its structure.
        folder: what its external tensors' locations are relative to.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry(EXTERNAL_FOLDER_ENTRY, str(folder))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
