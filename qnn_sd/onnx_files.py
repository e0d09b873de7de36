"""ONNX models as the stages hand them on: ``model.onnx`` beside one external data file."""

from __future__ import annotations

import math
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
# Types of which two elements share a byte in a file. In numpy (``ml_dtypes.int4``) each has one of its own.
_PACKED = frozenset({TensorProto.INT4})


class ExternalData:
    """The external data file of a model being written, one tensor after the other.

    Args:
        folder: existing folder that gets ``weights.bin``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / DATA_FILE).open("wb")

    def add(self, name: str, array: NDArray[Any]) -> onnx.TensorProto:
        """The initializer of a tensor: a large one is appended to the file, a small one stays inline.

        Args:
            name: of the tensor.
            array: its values; of ``ml_dtypes.int4`` two are stored in a byte, as ONNX's INT4 is.
        """
        data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        stored = _pack(array) if data_type in _PACKED else array
        if stored.nbytes < _INLINE_BELOW_BYTES:
            return numpy_helper.from_array(np.asarray(array, order="C"), name)  # a scalar stays one
        offset = -(-self._file.tell() // _ALIGNMENT) * _ALIGNMENT
        self._file.seek(offset)
        # write, not tofile: its error says that the disk is full, numpy's only that too little was written.
        self._file.write(np.ascontiguousarray(stored).reshape(-1).view(np.uint8).data)
        tensor = TensorProto(name=name, data_type=data_type, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", DATA_FILE), ("offset", offset), ("length", stored.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def _pack(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(numpy_helper.from_array(array).raw_data, np.uint8)


def read_array(tensor: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """An initializer's values; external ones are mapped, not read, but for INT4, which is unpacked."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    info = external_data_helper.ExternalDataInfo(tensor)
    shape = tuple(tensor.dims)
    if tensor.data_type in _PACKED:
        size = -(-math.prod(shape) * element_bits(tensor.data_type) // 8)
        packed = np.memmap(folder / info.location, np.uint8, "r", info.offset or 0, (size,))
        return numpy_helper.to_array(TensorProto(data_type=tensor.data_type, dims=shape, raw_data=packed.tobytes()))
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.memmap(folder / info.location, dtype, "r", info.offset or 0, shape)


def element_bits(data_type: int) -> int:
    """How many bits an element of an ONNX type takes in a file."""
    return 4 if data_type in _PACKED else 8 * helper.tensor_dtype_to_np_dtype(data_type).itemsize


def load_structure(folder: Path) -> onnx.ModelProto:
    """The model of a folder without its external weights."""
    return onnx.load_model(folder / MODEL_FILE, load_external_data=False)
