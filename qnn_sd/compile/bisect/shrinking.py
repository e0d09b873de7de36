"""Smaller sizes for a graph: one size is halved wherever it occurs, as long as the graph still makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from qnn_sd.reference import LEVEL
from qnn_sd.runner import Feeds


def halvings(model: onnx.ModelProto) -> Iterator[dict[int, int]]:
    """What may be halved at once, the largest sizes first: a size alone, or with a product that it is part of."""
    values = (*model.graph.input, *model.graph.output)
    sizes = {dim.dim_value for value in values for dim in value.type.tensor_type.shape.dim}
    sizes |= {size for tensor in model.graph.initializer for size in tensor.dims}
    sizes |= {int(size) for shape in _shape_constants(model) for size in numpy_helper.to_array(shape).reshape(-1)}
    known = sorted((size for size in sizes if size > 1), reverse=True)
    for size in known:
        yield {size: size // 2}
        half = size // 2
        if size % 2:
            continue
        if size * size in sizes:
            yield {size: half, size * size: half * half}
        for product in known:
            if product > size and product % size == 0:
                yield {size: half, product: product // 2}


def _shape_constants(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [
        each for each in model.graph.initializer if each.data_type == onnx.TensorProto.INT64 and np.prod(each.dims) < 9
    ]


def resized(model: onnx.ModelProto, feeds: Feeds, sizes: Mapping[int, int]) -> tuple[onnx.ModelProto, Feeds] | None:
    """A graph with other sizes, and its inputs cut to them; None where that is no graph, or computes something empty.

    Args:
        model: with its weights within it.
        feeds: its inputs.
        sizes: new ones by old ones.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _resize(copy, sizes)
    cut = {name: array[_corner(array.shape, sizes)] for name, array in feeds.items()}
    try:
        onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
        found = _session(copy).run(None, dict(cut))
    except Exception:
        return None
    if any(not array.any() or not np.isfinite(array).all() for array in found):
        return None
    for value, array in zip(copy.graph.output, found, strict=True):
        value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto())
        for size in array.shape:
            value.type.tensor_type.shape.dim.add(dim_value=size)
    return copy, cut


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session that says nothing of a graph that makes no sense: most don't."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVEL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _corner(shape: Sequence[int], sizes: Mapping[int, int]) -> tuple[slice, ...]:
    return tuple(slice(sizes.get(size, size)) for size in shape)


def _resize(model: onnx.ModelProto, sizes: Mapping[int, int]) -> None:
    """Changes sizes in constants, attributes and inputs; of the outputs nothing is known then."""
    graph = model.graph
    shapes = {each.name for each in _shape_constants(model)}
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if tensor.name in shapes:
            changed = np.array([sizes.get(int(each), int(each)) for each in array.reshape(-1)], array.dtype)
            array = changed.reshape(array.shape)
        else:
            array = array[_corner(array.shape, sizes)]
        tensor.CopyFrom(numpy_helper.from_array(np.array(array), tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "group":
                attribute.i = sizes.get(attribute.i, attribute.i)
            elif attribute.name in ("kernel_shape", "strides"):
                attribute.ints[:] = [sizes.get(each, each) for each in attribute.ints]
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = sizes.get(dim.dim_value, dim.dim_value)
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
