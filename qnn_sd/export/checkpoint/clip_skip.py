"""Clip skip: an earlier layer of the text encoder answers, through the final layer norm."""

from __future__ import annotations

import re
from dataclasses import replace

from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint.parts import Part, without_text_model

# Of transformers' CLIPTextConfig.
_LAYERS = 12
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def answering_from(encoder: Part, clip_skip: int) -> Part:
    """A text encoder that ends with an earlier layer: without the layers behind it.

    Args:
        encoder: as it lies on disk.
        clip_skip: 1 for the last layer, 2 for the one before it, as AUTOMATIC1111's web UI counts.

    Raises:
        SettingError: it has no such layer.
    """
    if clip_skip == 1:
        return encoder
    layers = encoder.config.get("num_hidden_layers", _LAYERS)
    if not 1 <= clip_skip <= layers:
        raise SettingError(
            f"--clip-skip {clip_skip} is not possible",
            why=f"The text encoder of {encoder.origin} has {layers} layers.",
            hint=f"Choose 1 (the last layer, as without it) to {layers} (the first one); 2 is usual.",
        )
    kept = layers - clip_skip + 1

    def is_kept(name: str) -> bool:
        layer = _LAYER.match(without_text_model(name))
        return layer is None or int(layer[1]) < kept

    tensors = {name: tensor for name, tensor in encoder.tensors.items() if is_kept(name)}
    return replace(encoder, config={**encoder.config, "num_hidden_layers": kept}, tensors=tensors)
