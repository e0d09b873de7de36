"""Which files in a network's folder hold its weights: one file, shards, or a variant where that is all there is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.json_file import read_json
from qnn_sd.export.checkpoint.not_weights import broken_link, is_safetensors, refuse_other_content
from qnn_sd.export.checkpoint.parts import StoredTensor
from qnn_sd.export.checkpoint.quantized import refuse_quantized
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile

# As diffusers and transformers write them; older ones put the variant last.
STEMS = ("diffusion_pytorch_model", "model")
_STEM, _VARIANT = f"(?:{'|'.join(STEMS)})", r"(?:\.(?P<{}>[\w-]+?))?"
_FILE = re.compile(
    _STEM
    + _VARIANT.format("variant")
    + r"(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
    + _VARIANT.format("late")
    + r"\.safetensors"
)
_INDEX = re.compile(_STEM + _VARIANT.format("variant") + r"\.safetensors\.index" + _VARIANT.format("late") + r"\.json")
# Where the plain files aren't there: full precision first, then the same weights in half precision, fp16 before bf16
# for its finer steps. Weights before averaging (non_ema) are others than those that a model is published for: last.
_ORDER = ("", "fp32", "ema", "fp16", "bf16")
_LAST = "non_ema"
_OTHERS = (".bin", ".ckpt", ".pt", ".safetensors", ".msgpack", ".h5", ".onnx", ".gguf")


@dataclass(frozen=True)
class WeightFiles:
    """The files of one network.

    Attributes:
        tensors: by their names there.
        paths: of the files.
        remark: what a user should know of the choice; None for nothing.
    """

    tensors: dict[str, StoredTensor]
    paths: tuple[Path, ...]
    remark: str | None = None


@dataclass
class _Variant:
    """What there is of one variant."""

    whole: Path | None = None
    index: Path | None = None
    shards: dict[int, Path] = field(default_factory=dict)
    count: int = 0


def stored_tensors(files: Iterable[SafetensorsFile]) -> dict[str, StoredTensor]:
    """All tensors of some files under their own names.

    Raises:
        UnsupportedModelError: their numbers are quantized.
    """
    tensors = {name: StoredTensor(file, name, shape) for file in files for name, shape in file.shapes.items()}
    for file in {stored.file.path: stored.file for stored in tensors.values()}.values():
        refuse_quantized(file.path, file.shapes)
    return tensors


def weight_files(folder: Path) -> WeightFiles:
    """A network's tensors and the files that hold them.

    Raises:
        CheckpointError: there are none, only a pickle, or files that are damaged or missing.
        UnsupportedModelError: they are quantized.
    """
    if broken := broken_link(folder):
        raise broken
    variants = _variants(folder)
    for name in sorted(variants, key=_rank):
        files = _opened(folder, variants[name])
        paths = tuple(file.path for file in files)
        return WeightFiles(stored_tensors(files), paths, _remark(folder, name, paths, len(variants)))
    return _under_another_name(folder)


def _variants(folder: Path) -> dict[str, _Variant]:
    found: dict[str, _Variant] = {}
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name) or _INDEX.fullmatch(path.name)
        if match is None:
            continue
        variant = found.setdefault(match["variant"] or match["late"] or "", _Variant())
        if match.re is _INDEX:
            variant.index = variant.index or path
        elif match["number"] is None:
            variant.whole = variant.whole or path
        else:
            variant.shards[int(match["number"])] = path
            variant.count = max(variant.count, int(match["count"]))
    return found


def _rank(variant: str) -> tuple[int, str]:
    if variant in _ORDER:
        return _ORDER.index(variant), variant
    return len(_ORDER) + (_LAST in variant.replace("-", "_")), variant


def _remark(folder: Path, variant: str, paths: tuple[Path, ...], variants: int) -> str | None:
    if not variant:
        return None
    choice = "of those that are there" if variants > 1 else "all that is there"
    return f"{folder.name}: {paths[0].name} is taken, the variant {variant}, {choice}"


def _opened(folder: Path, variant: _Variant) -> list[SafetensorsFile]:
    if variant.whole is not None:
        return [SafetensorsFile(variant.whole)]
    if variant.index is not None:
        return _indexed(variant.index)
    lost = [number for number in range(1, variant.count + 1) if number not in variant.shards]
    if lost:
        raise CheckpointError(
            f"{folder} has {len(variant.shards)} of {variant.count} shards",
            why=f"{next(iter(variant.shards.values())).name} is there, number {lost[0]} isn't, nor an index.",
            hint="Get the missing shards.",
        )
    return [SafetensorsFile(path) for _, path in sorted(variant.shards.items())]


def _under_another_name(folder: Path) -> WeightFiles:
    """The one ``.safetensors`` there is, whatever it is called.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    others = sorted(path for path in folder.iterdir() if path.suffix in _OTHERS and not path.name.startswith("."))
    named = [path for path in others if path.suffix == ".safetensors"]
    named = named or [path for path in others if is_safetensors(path)]
    if len(named) == 1:
        file = SafetensorsFile(named[0])
        return WeightFiles(
            stored_tensors([file]), (named[0],), f"{folder.name}: {named[0].name} is taken, the only weights there"
        )
    for path in others:
        if path not in named:
            refuse_other_content(path)
    why = f"It has {', '.join(path.name for path in others)}." if others else ""
    raise CheckpointError(
        f"{folder} has no weights in safetensors" if not named else f"{folder} has several files of weights",
        why=why,
        hint=f"Provide {folder / f'{STEMS[0]}.safetensors'}.",
    )


def _indexed(index: Path) -> list[SafetensorsFile]:
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
    names = list(dict.fromkeys(places.values()))
    for name in names:
        # A shard stands beside its index: an index from elsewhere may not lead out of the folder.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise refuse(f"It names {name!r}, which is no .safetensors file beside it")
    files = {path: SafetensorsFile(path) for path in _present(index, names)}
    for path, file in files.items():
        listed = {name for name, place in places.items() if place == path.name}
        wrong = sorted(listed ^ file.shapes.keys())
        if wrong:
            raise refuse(f"{wrong[0]} stands in only one of the index and {path.name}")
    return list(files.values())


def _present(index: Path, names: list[str]) -> Iterator[Path]:
    """The shards of an index.

    Raises:
        CheckpointError: they aren't there.
    """
    paths = [index.parent / name for name in names]
    missing = [path for path in paths if not path.is_file()]
    for path in missing:
        if broken := broken_link(path):
            raise broken
    if len(missing) == len(paths):
        raise CheckpointError(
            f"{index} is an index without its shards",
            why=f"It lists {len(paths)} files, {names[0]} first, and none is there.",
            hint=f"Get them into {index.parent}: download them, or type git lfs pull in a clone.",
        )
    for path in missing:
        raise CheckpointError(f"{path} is missing", why=f"{index.name} lists it.", hint="Get the missing shard.")
    yield from paths
