"""ONNX models as the stages hand them on: ``model.onnx`` beside one external data file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

MODEL_FILE = "model.onnx"
DATA_FILE = "weights.bin"
# Session config entry: what external tensors' locations are relative to, in a model that is given as bytes.
EXTERNAL_FOLDER_ENTRY = "session.model_external_initializers_file_folder_path"
_INLINE_BELOW_BYTES = 1024
_ALIGNMENT = 4096  # so that ONNX Runtime can map a tensor instead of reading it


class ExternalData:
    """The external data file of a model being written, one tensor after the other.

    Args:
        folder: existing folder that gets ``weights.bin``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / DATA_FILE).open("wb")

    def add(self, name: str, array: NDArray[Any]) -> onnx.TensorProto:
        """The initializer of a tensor: a large one is appended to the file, a small one stays inline."""
        if array.nbytes < _INLINE_BELOW_BYTES:
            return numpy_helper.from_array(np.asarray(array, order="C"), name)  # a scalar stays one
        offset = -(-self._file.tell() // _ALIGNMENT) * _ALIGNMENT
        self._file.seek(offset)
        # write, not tofile: its error says that the disk is full, numpy's only that too little was written.
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", DATA_FILE), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def read_array(tensor: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """An initializer's values; external ones are mapped, not read."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    info = external_data_helper.ExternalDataInfo(tensor)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape = tuple(tensor.dims)
    return np.memmap(folder / info.location, dtype, "r", info.offset or 0, shape)


def load_structure(folder: Path) -> onnx.ModelProto:
    """The model of a folder without its external weights."""
    return onnx.load_model(folder / MODEL_FILE, load_external_data=False)
