"""checkpoint → float ONNX. Nothing is traced: the graph is written block by block in the HTP's forms."""

from qnn_sd.export.component import export_component
from qnn_sd.export.forms import Forms

__all__ = ["Forms", "export_component"]
