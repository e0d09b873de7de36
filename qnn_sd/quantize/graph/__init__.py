"""The float graph that is quantized: its structure, what each of its tensors is, and the rules of its ops."""

from qnn_sd.quantize.graph.float_graph import FloatGraph
from qnn_sd.quantize.graph.role_reader import tensor_roles
from qnn_sd.quantize.graph.tensor_roles import Layer, TensorRoles

__all__ = ["FloatGraph", "Layer", "TensorRoles", "tensor_roles"]
