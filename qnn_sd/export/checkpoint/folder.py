"""A checkpoint in diffusers' layout: a folder for each network, with its config and its weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.architecture import refuse_foreign_config, refuse_foreign_pipeline
from qnn_sd.export.checkpoint.json_file import read_config, read_json
from qnn_sd.export.checkpoint.nearby import no_layout
from qnn_sd.export.checkpoint.parts import PARTS, Layout, Part, StoredTensor
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile, refuse_pickle

CONFIG = "config.json"
# Names of a network's weights, as diffusers and transformers write them; the fp16 variant is taken
# where it is all there is.
_STEMS = ("diffusion_pytorch_model", "model")
_WEIGHTS = (
    *(f"{stem}.safetensors" for stem in _STEMS),
    *(f"{stem}.safetensors.index.json" for stem in _STEMS),
    *(f"{stem}.fp16.safetensors" for stem in _STEMS),
    *(f"{stem}.safetensors.index.fp16.json" for stem in _STEMS),
    *(f"{stem}.fp16.safetensors.index.json" for stem in _STEMS),
)


def read_folder(folder: Path, replaced: Collection[str] = ()) -> Layout:
    """Opens a checkpoint's configs and headers.

    Args:
        folder: with ``unet``, ``vae`` and ``text_encoder`` in it.
        replaced: parts that come from elsewhere, so that they may be missing or broken here.

    Raises:
        CheckpointError: a network is missing, a pickle, or damaged.
        UnsupportedModelError: another architecture (named).
    """
    index = folder / "model_index.json"
    if foreign := no_layout(folder):
        raise foreign
    if index.is_file():
        refuse_foreign_pipeline(folder, read_json(index))
    parts = {part: read_part(folder / part, part) for part in PARTS if part not in replaced}
    scheduler = folder / "scheduler" / "scheduler_config.json"
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
    if not config.is_file():
        raise CheckpointError(
            f"{config} is missing",
            why="A checkpoint in diffusers' layout has a config.json in each network's folder.",
            hint="Give the folder that holds model_index.json, or get the missing files.",
        )
    parsed = read_config(config)
    refuse_foreign_config(part, folder, parsed)
    tensors, files = _tensors(folder)
    return Part(folder, parsed, tensors, {f"{part}/{path.name}": path for path in files})


def stored_tensors(files: Mapping[Path, SafetensorsFile]) -> dict[str, StoredTensor]:
    """All tensors of some files under their own names."""
    return {name: StoredTensor(file, name, shape) for file in files.values() for name, shape in file.shapes.items()}


def _tensors(folder: Path) -> tuple[dict[str, StoredTensor], list[Path]]:
    """A network's tensors and the files that hold them."""
    for name in _WEIGHTS:
        path = folder / name
        if not path.is_file():
            continue
        files = _shards(path) if path.suffix == ".json" else {path: SafetensorsFile(path)}
        return stored_tensors(files), list(files)
    others = sorted(path for path in folder.iterdir() if path.suffix in (".bin", ".ckpt", ".safetensors", ".msgpack"))
    for path in others:
        if path.suffix in (".bin", ".ckpt"):
            refuse_pickle(path)
    why = f"It has {', '.join(path.name for path in others)}." if others else ""
    raise CheckpointError(f"{folder} has no weights in safetensors", why=why, hint=f"Provide {folder / _WEIGHTS[0]}.")


def _shards(index: Path) -> dict[Path, SafetensorsFile]:
    """The files of sharded weights, held against their index.

    Raises:
        CheckpointError: the index is malformed, or it and the shards disagree.
    """

    def refuse(why: str) -> CheckpointError:
        return CheckpointError(
            f"{index} can't be read", why=f"{why}.", hint="Download the index and its shards again: they don't match."
        )

    places: Any = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise refuse("It has no weight_map")
    files: dict[Path, SafetensorsFile] = {}
    for name in dict.fromkeys(places.values()):
        # A shard stands beside its index: an index from elsewhere may not lead out of the folder.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise refuse(f"It names {name!r}, which is no .safetensors file beside it")
        path = index.parent / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing", why=f"{index.name} lists it.", hint="Get the missing shard.")
        files[path] = SafetensorsFile(path)
    for path, file in files.items():
        listed = {name for name, place in places.items() if place == path.name}
        wrong = sorted(listed ^ file.shapes.keys())
        if wrong:
            raise refuse(f"{wrong[0]} stands in only one of the index and {path.name}")
    return files
