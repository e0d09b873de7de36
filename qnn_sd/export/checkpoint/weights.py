"""A component's tensors on their way to the graph, with LoRAs merged and embeddings appended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.delta import Delta
from qnn_sd.export.checkpoint.parts import Part, without_text_model
from qnn_sd.export.checkpoint.tensors import Array

# What only networks of other tasks have.
_OF_OTHERS = re.compile(
    r"(class_embedding|add_embedding|encoder_hid_proj|label_emb)\.|.*\.(motion_modules|attn_adapter|fuser)\."
)
_LAYER = re.compile(r"(text_model\.)?encoder\.layers\.\d+\.")


class Weights:
    """The tensors of one network, read one at a time: no two are in memory unless a block keeps them.

    Args:
        part: the network.
        deltas: what LoRAs add, by the tensor's name (without ``text_model.``).
        rows: what is appended to a tensor's first axis, by the same names.
    """

    def __init__(self, part: Part, deltas: Mapping[str, Sequence[Delta]], rows: Mapping[str, Array]) -> None:
        self._part, self._deltas, self._rows = part, deltas, rows
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the network has a tensor of that name."""
        return name in self._part.tensors

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor of that name as float32.

        Raises:
            CheckpointError: it is missing, of another shape, not finite, or not finite once merged.
        """
        stored = self._part.tensors.get(name)
        if stored is None:
            raise CheckpointError(
                f"{self._part.origin} has no tensor {name!r}",
                why="Its config asks for one.",
                hint="Do the config and the weights belong to the same model?",
            )
        key = without_text_model(name)
        rows = self._rows.get(key)
        expected = shape if rows is None else (shape[0] - len(rows), *shape[1:])
        if _plain(stored.shape) != _plain(expected):
            raise CheckpointError(
                f"{stored.name} in {stored.file.path} has shape {list(stored.shape)}, not {list(expected)}",
                why="The model's config implies the latter.",
                hint="Do the config and the weights belong to the same model?",
            )
        array = stored.read().reshape(expected)
        for delta in self._deltas.get(key, ()):
            array = delta.added_to(array)
        self._read.add(name)
        return array if rows is None else np.concatenate([array, rows])

    def spare(self, ignored: Iterable[str] = ()) -> list[str]:
        """The names of tensors that no block asked for.

        Args:
            ignored: prefixes of tensors that belong to another component or carry no weights.

        Raises:
            CheckpointError: they are of another architecture, or most of the network's.
        """
        unread = self._part.tensors.keys() - self._read
        left = sorted(name for name in unread if not name.startswith(tuple(ignored)))
        telling = [name for name in left if _OF_OTHERS.match(name)]
        # Layers that a config skips are known, however many.
        strange = [name for name in left if not _LAYER.match(name)]
        if telling or len(strange) > len(self._read):
            raise CheckpointError(
                f"{self._part.origin} has {len(left)} tensors that this architecture doesn't use",
                why=f"The first are {', '.join((telling or left)[:3])}.",
                hint="Is this a checkpoint of Stable Diffusion 1.x's architecture?",
            )
        return left


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the places of a 1x1 kernel: a linear layer's weight is the same as one or the other."""
    return shape[:2] if len(shape) > 2 and set(shape[2:]) == {1} else shape
