"""What else a file's metadata says of the model, in the keys of ModelSpec that tools write beside the tensors."""

from __future__ import annotations

from collections.abc import Iterator

from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

_ARCHITECTURE, _LAYER = "modelspec.architecture", "modelspec.encoder_layer"
_OURS = ("stable-diffusion-v1", "stable-diffusion-v2")


def remarks_on(file: SafetensorsFile) -> Iterator[str]:
    """A line for each thing that a checkpoint says of itself and that isn't taken from there."""
    if file.remark is not None:
        yield file.remark
    architecture = file.metadata.get(_ARCHITECTURE, "").strip()
    if architecture and not architecture.startswith(_OURS):
        yield f"{file.path.name} calls itself {architecture} ({_ARCHITECTURE}); its tensors are Stable Diffusion 1.x's"
    layer = file.metadata.get(_LAYER, "").strip()
    if layer.isdecimal() and int(layer) > 1:
        yield f"{file.path.name} recommends clip skip {layer} ({_LAYER}): --clip-skip {layer} does it"
