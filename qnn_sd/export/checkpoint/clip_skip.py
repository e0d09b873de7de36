"""Clip skip: an earlier layer of the text encoder answers, through the final layer norm.

It is said by an option, or by a config whose ``num_hidden_layers`` is smaller than its file has. Both count from the
last layer in the file, so that one says the same as the other, and the option counts where both are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint.parts import Part, without_text_model

# Of transformers' CLIPTextConfig.
_LAYERS = 12
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def answering_from(encoder: Part, clip_skip: int | None) -> Part:
    """A text encoder that ends with an earlier layer: without the layers behind it.

    Args:
        encoder: as it lies on disk.
        clip_skip: 1 for the last layer, 2 for the one before it, as AUTOMATIC1111's web UI counts; None for what its
            config says.

    Raises:
        SettingError: it has no such layer.
    """
    if clip_skip is None:
        return encoder
    layers = _layers(encoder)
    if not 1 <= clip_skip <= layers:
        raise SettingError(
            f"--clip-skip {clip_skip} is not possible",
            why=f"The text encoder of {encoder.origin} has {layers} layers.",
            hint=f"Choose 1 (the last layer) to {layers} (the first one); 2 is usual.",
        )
    kept = layers - clip_skip + 1

    def is_kept(name: str) -> bool:
        layer = _LAYER.match(without_text_model(name))
        return layer is None or int(layer[1]) < kept

    tensors = {name: tensor for name, tensor in encoder.tensors.items() if is_kept(name)}
    return replace(encoder, config={**encoder.config, "num_hidden_layers": kept}, tensors=tensors)


def clip_skip_of(encoder: Part, answering: Part) -> int:
    """Which layer answers: 1 for the last one.

    Args:
        encoder: as it lies on disk.
        answering: what ``answering_from`` made of it.
    """
    layers = _layers(encoder)
    return layers - (_configured(answering) or layers) + 1


def remarks_on_skipped(encoder: Part) -> Iterator[str]:
    """What a user should know of a config that leaves layers out."""
    used, layers = _configured(encoder), _layers(encoder)
    if used and used < layers:
        yield f"text_encoder: its config takes {used} of {layers} layers, which is clip skip {layers - used + 1}"


def _layers(encoder: Part) -> int:
    """The layers of its file; of its config where that asks for more, which are missed when they are read."""
    found = {int(each[1]) for name in encoder.tensors if (each := _LAYER.match(without_text_model(name)))}
    # One far behind the others is something else.
    return max(_configured(encoder), next(number for number in count() if number not in found))


def _configured(encoder: Part) -> int:
    """What its config says; 0 for what is no number of layers, which is refused where it is built."""
    layers = encoder.config.get("num_hidden_layers", _LAYERS)
    return layers if type(layers) is int and layers > 0 else 0
