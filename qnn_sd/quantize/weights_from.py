"""Weights as another size of the network has them, so that one context binary can hold them for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qnn_sd.errors import QuantizeError
from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.quantize.encodings import Encodings, Integers


def weights_from(encodings: Encodings, folder: Path) -> dict[str, Integers]:
    """The integers of another QDQ graph's weights, tables and factors, by their names in the float graph.

    Those that have another shape or other scales there are left out.

    Args:
        encodings: of the graph that takes them.
        folder: of the other QDQ graph, as ``QdqWriter`` writes it.

    Raises:
        QuantizeError: the two graphs have nothing in common.
    """
    stored = {tensor.name: tensor for tensor in load_structure(folder).graph.initializer}
    found: dict[str, Integers] = {}
    for name, encoding in encodings.parameters.items():
        integers, scale = stored.get(f"{name}.q"), stored.get(f"{name}.scale")
        if integers is None or scale is None:
            continue
        values = read_array(integers, folder)
        same_scale = np.array_equal(read_array(scale, folder), np.asarray(encoding.scale, np.float32))
        if same_scale and values.dtype == encoding.stored_dtype:
            found[name] = values
    if not found:
        raise QuantizeError(
            f"No weight of {folder} is one of this graph's", hint="Quantize each size by itself: one --size."
        )
    return found
