"""checkpoint → float ONNX. Nothing is traced: the graph is written block by block in the HTP's forms."""

from qnn_sd.export.component import export_component

__all__ = ["export_component"]
