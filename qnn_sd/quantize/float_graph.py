"""A float graph to be quantized: its structure, its tensors' roles, its constants one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.quantize.roles import Roles, roles


class FloatGraph:
    """The float model of a folder.

    Attributes:
        folder: where it is.
        model: the structure; large weights stay in their file.
        roles: what each tensor is.

    Raises:
        QuantizeError: an op that no rule covers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = load_structure(folder)
        self.roles: Roles = roles(self.model)

    def array(self, name: str) -> NDArray[Any]:
        """A constant's values; large ones are mapped, not read."""
        return np.asarray(read_array(self.roles.constants[name], self.folder))
