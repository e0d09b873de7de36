"""The kit's own checkpoint, for single files of the same networks: a retrained demo, or a copy of it.

A single file has no configs, and its tensors' shapes don't tell all of one: numbers of heads and of groups, the VAE's
scale. Stable Diffusion 1.x's are known, and so are those of the checkpoint that comes with the kit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from qnn_sd import resources
from qnn_sd.config import DEMO_MODEL, load_model
from qnn_sd.export.checkpoint.folder import read_folder
from qnn_sd.export.checkpoint.parts import Layout, Part, StoredTensor, without_text_model

_BLOCK = re.compile(r"(down_blocks|up_blocks|mid_block|encoder|decoder|embeddings)\.(?!position_ids)")


@cache
def kit_checkpoint() -> Layout:
    """The checkpoint that comes with the kit."""
    return read_folder(resources.assets() / load_model(DEMO_MODEL).checkpoint)


def kit_config(part: str, tensors: Mapping[str, StoredTensor]) -> Mapping[str, Any] | None:
    """The config of the kit's network, if these are its tensors.

    Args:
        part: one of ``PARTS``.
        tensors: by diffusers' name.
    """
    ours = kit_checkpoint().parts[part]
    theirs, known = _shapes(tensors), _shapes(ours.tensors)
    # What is spare changes nothing, unless it is a block more.
    more = theirs.keys() - known.keys()
    return ours.config if known.items() <= theirs.items() and not any(map(_BLOCK.match, more)) else None


def is_kit_part(part: Part, name: str) -> bool:
    """Whether a network has the config of the kit's.

    Args:
        part: the network.
        name: one of ``PARTS``.
    """
    return part.config is kit_checkpoint().parts[name].config


def _shapes(tensors: Mapping[str, StoredTensor]) -> dict[str, tuple[int, ...]]:
    return {without_text_model(name): stored.shape for name, stored in tensors.items()}
