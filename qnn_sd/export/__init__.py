"""checkpoint → float ONNX, one graph a component."""

from qnn_sd.export.component import (
    TEXT_ENCODER,
    UNET,
    VAE_DECODER,
    VAE_ENCODER,
    ComponentExport,
    GraphSize,
    export_component,
    model_metadata,
    write_graph,
)

__all__ = [
    "TEXT_ENCODER",
    "UNET",
    "VAE_DECODER",
    "VAE_ENCODER",
    "ComponentExport",
    "GraphSize",
    "export_component",
    "model_metadata",
    "write_graph",
]
