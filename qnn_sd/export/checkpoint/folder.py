"""A checkpoint in diffusers' layout: a folder for each network, with its config and its weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.architecture import refuse_foreign_config, refuse_foreign_pipeline
from qnn_sd.export.checkpoint.json_file import read_config, read_json
from qnn_sd.export.checkpoint.nearby import no_layout
from qnn_sd.export.checkpoint.not_weights import broken_link
from qnn_sd.export.checkpoint.parts import PARTS, Layout, Part
from qnn_sd.export.checkpoint.weight_files import weight_files

CONFIG = "config.json"
SCHEDULER = "scheduler/scheduler_config.json"


def read_folder(
    folder: Path, replaced: Collection[str] = (), read: Callable[[Path, str], Part] | None = None
) -> Layout:
    """Opens a checkpoint's configs and headers.

    Args:
        folder: with ``unet``, ``vae`` and ``text_encoder`` in it.
        replaced: parts that come from elsewhere, so that they may be missing or broken here.
        read: opens a network's folder; None for ``read_part``.

    Raises:
        CheckpointError: a network is missing, a pickle, or damaged.
        UnsupportedModelError: another architecture (named).
    """
    index = folder / "model_index.json"
    if foreign := no_layout(folder):
        raise foreign
    if index.is_file():
        refuse_foreign_pipeline(folder, read_json(index))
    parts = {part: (read or read_part)(folder / part, part) for part in PARTS if part not in replaced}
    scheduler = folder / SCHEDULER
    if broken := broken_link(scheduler):
        raise broken
    tokenizer = folder / "tokenizer"
    return Layout(
        folder,
        parts,
        read_config(scheduler) if scheduler.is_file() else {},
        tokenizer if tokenizer.is_dir() else None,
    )


def read_part(folder: Path, part: str) -> Part:
    """Opens one network's folder.

    Raises:
        CheckpointError: its config or weights are missing, a pickle, or damaged.
        UnsupportedModelError: a network of another class.
    """
    config = folder / CONFIG
    if broken := broken_link(config) or broken_link(folder):
        raise broken
    if not config.is_file():
        raise CheckpointError(
            f"{config} is missing",
            why="A checkpoint in diffusers' layout has a config.json in each network's folder.",
            hint="Give the folder that holds model_index.json, or get the missing files.",
        )
    parsed = part_config(config, part)
    refuse_foreign_config(part, folder, parsed)
    found = weight_files(folder)
    return Part(
        folder,
        parsed,
        found.tensors,
        {f"{part}/{path.name}": path for path in found.paths},
        () if found.remark is None else (found.remark,),
    )


def part_config(path: Path, part: str) -> Mapping[str, Any]:
    """A network's parsed config; of CLIP's two networks, the text encoder's.

    Raises:
        CheckpointError: it is missing, or no JSON object.
    """
    parsed = read_config(path)
    both = parsed.get("text_config")
    if part == "text_encoder" and parsed.get("model_type") == "clip" and isinstance(both, dict):
        return {**both, "model_type": both.get("model_type", "clip_text_model")}
    return parsed
