"""A float graph to be quantized: its structure, its tensors' roles, its constants one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import QuantizeError
from qnn_sd.onnx_files import MODEL_FILE, load_structure, read_array
from qnn_sd.quantize.graph.role_reader import tensor_roles
from qnn_sd.quantize.graph.tensor_roles import TensorRoles

OPSET = 21  # the first whose QuantizeLinear takes 16 bits
IR_VERSION = 10  # of that opset
# Opset 21 adds types to the ops of opset 20, and changes what GroupNormalization takes, nothing else.
_OLDEST_OPSET = 20


class FloatGraph:
    """The float model of a folder.

    Attributes:
        folder: where it is.
        model: the structure; large weights stay in their file.
        roles: what each tensor is.
        opset: the version of ONNX's ops that it is written in.

    Raises:
        QuantizeError: an op that no rule covers, or an opset that can't be quantized.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = load_structure(folder)
        self.roles: TensorRoles = tensor_roles(self.model)
        self.opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        grouped = any(node.op_type == "GroupNormalization" for node in self.model.graph.node)
        if self.opset < (OPSET if grouped else _OLDEST_OPSET):
            raise QuantizeError(
                f"{folder / MODEL_FILE} is in opset {self.opset}",
                why=f"16-bit QuantizeLinear needs opset {OPSET}, and not every op means the same in both.",
                hint=f"Export it in opset {OPSET}.",
            )

    def array(self, name: str) -> NDArray[Any]:
        """A constant's values; large ones are mapped, not read."""
        return np.asarray(read_array(self.roles.constants[name], self.folder))
