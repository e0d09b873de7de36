"""LoRA files and their kin: which tensors belong to which weight, and how strong each one is.

The products are made when a weight is read (``adapters.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint import adapters
from qnn_sd.export.checkpoint.adapters import Kind
from qnn_sd.export.checkpoint.delta import Delta
from qnn_sd.export.checkpoint.embeddings import BUNDLED, Embedding, bundled_embeddings
from qnn_sd.export.checkpoint.kinds_of_file import other_kind
from qnn_sd.export.checkpoint.lora_files import PEFT, LoraFiles
from qnn_sd.export.checkpoint.lora_names import LoraKey, LoraNames, Role
from qnn_sd.export.checkpoint.lora_refusals import misfit, refuse_strangers, whole_weights
from qnn_sd.export.checkpoint.lora_settings import AdapterSettings
from qnn_sd.export.checkpoint.misfit import Base, refuse_lora_of_other_width
from qnn_sd.export.checkpoint.parts import Part, StoredTensor, without_text_model
from qnn_sd.export.checkpoint.prediction import markers_in
from qnn_sd.export.checkpoint.quantized import refuse_quantized
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensor_names import first_names

Deltas = dict[str, dict[str, list[Delta]]]


@dataclass(frozen=True)
class Lora:
    """One LoRA as it is merged.

    Attributes:
        given: what was typed: its file, folder or hub id.
        files: that it consists of.
        scale: what the user multiplies it with.
        deltas: for each part that it touches, by the weight's name (without ``text_model.``).
        embeddings: textual inversions that its file brings along.
        sources: the open files.
        remarks: what a user should know of it.
    """

    given: str | Path
    files: LoraFiles
    scale: float
    deltas: Mapping[str, Mapping[str, Sequence[Delta]]]
    embeddings: tuple[Embedding, ...] = ()
    sources: tuple[SafetensorsFile, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """What messages call it."""
        return self.files.place


@dataclass
class _Module:
    """An adapter's tensors for one module, as they are found."""

    key: LoraKey
    names: dict[Role, str] = field(default_factory=dict)


def read_lora(
    given: str | Path, files: LoraFiles, scale: float, parts: Mapping[str, Part], base: Base, width: int
) -> Lora:
    """What a LoRA adds to a checkpoint's weights.

    Args:
        given: what was typed.
        files: that it consists of.
        scale: what the user multiplies it with.
        parts: the checkpoint's networks.
        base: what messages call the checkpoint.
        width: of the text encoder's embeddings.

    Raises:
        CheckpointError: a damaged file, one for text of another width, keys that match nothing (named), or shapes that
            don't fit.
        UnsupportedModelError: a LoRA for another architecture, or of a kind that isn't merged.
    """
    deltas: Deltas = {}
    embeddings: list[Embedding] = []
    remarks: list[str] = []
    sources = []
    for path in files.weights:
        file = SafetensorsFile(path)
        sources.append(file)
        refuse_quantized(path, file.shapes)
        settings = AdapterSettings.of(file, files.configs.get(path))
        refuse_lora_of_other_width(path, file.shapes, base)
        found, left = bundled_embeddings(file, width)
        embeddings += found
        modules, spare = _modules(file, parts, base, has_more=bool(found))
        remarks += [each for each in (file.remark, *left) if each is not None]
        if path.name == PEFT and path not in files.configs:
            remarks.append(f"{path.name} has no adapter_config.json beside it: its alpha is taken to be its rank")
        if spare:
            remarks.append(f"{path.name} has {first_names(spare)} that no weight needs")
        for module in modules:
            for name, delta in _deltas(file, module, scale, parts[module.key.part], settings, base):
                deltas.setdefault(module.key.part, {}).setdefault(name, []).append(delta)
    return Lora(given, files, scale, deltas, tuple(embeddings), tuple(sources), tuple(remarks))


def _modules(
    file: SafetensorsFile, parts: Mapping[str, Part], base: Base, has_more: bool
) -> tuple[list[_Module], list[str]]:
    """The modules that a file changes, and the names of tensors that belong to none."""
    names = LoraNames({part: _module_names(parts[part]) for part in ("unet", "text_encoder")})
    markers = set(markers_in(file))
    modules: dict[tuple[str, str], _Module] = {}
    strangers = []
    for name in file.shapes:
        if name.startswith(BUNDLED) or name in markers:
            continue
        key = names.parse(name, file.path)
        if key is None:
            strangers.append(name)
        else:
            there = modules.setdefault((key.part, key.module), _Module(key)).names
            if key.role in there:
                raise CheckpointError(
                    f"{file.path} has two tensors for one place: {there[key.role]} and {name}",
                    why="It holds two adapters, or one in two spellings: which is meant, nobody can know.",
                    hint="Save each adapter in a file of its own, and give one --lora after the other.",
                )
            there[key.role] = name
    replaced = [name for name in strangers if name.endswith(".bias")]
    for module in modules.values():
        # Such a name alone is a whole weight: a checkpoint's, or one that was trained beside the adapter.
        if Role.FACTORS_OF_CHANGE in module.names and Role.ON_INPUT not in module.names:
            replaced.append(module.names.pop(Role.FACTORS_OF_CHANGE))
    strangers = list(dict.fromkeys((*strangers, *replaced)))
    whole = [module for module in modules.values() if module.names]
    # A tensor for a weight that isn't here is another matter than one that is for no weight at all.
    lost = [name for name in strangers if names.has_role(name) or name in replaced]
    if not any(map(names.has_role, file.shapes)) and (other := other_kind(file.path, file.shapes, "--lora")):
        raise other
    if whole and lost and set(lost) <= set(replaced):
        raise whole_weights(file, lost)
    if lost or len(strangers) > len(file.shapes) / 2 or not (whole or has_more):
        refuse_strangers(file, lost or strangers, base)
    return whole, strangers


def _module_names(part: Part) -> list[str]:
    return [without_text_model(name).removesuffix(".weight") for name in part.tensors if name.endswith(".weight")]


def _stored(part: Part, name: str) -> StoredTensor | None:
    return part.tensors.get(name) or part.tensors.get(f"text_model.{name}")


def _deltas(
    file: SafetensorsFile, module: _Module, scale: float, part: Part, settings: AdapterSettings, base: Base
) -> Iterator[tuple[str, Delta]]:
    """What a module's tensors add, by the name of the weight or bias."""
    rank = None
    for kind in _kinds(file, module, part, settings):
        name = f"{module.key.module}.{'bias' if kind.of_bias else 'weight'}"
        stored = _stored(part, name)
        if stored is None:
            raise CheckpointError(
                f"{file.path} has {next(iter(module.names.values()))}, and {module.key.module} has no {name[-4:]}",
                hint=base.hint("Use a LoRA for this checkpoint's architecture."),
            )
        names = _complete(file, module, kind)
        size = kind.fits({role: file.shapes[each] for role, each in names.items()}, stored.shape)
        if size is None:
            raise misfit(file, kind, names, name, stored.shape, base)
        if not kind.of_bias:
            rank = size[2] or settings.rank_of_whole(module.key.part, module.key.module)
        strength = (1.0, 1.0) if rank is None or kind is adapters.BIAS else _strength(file, module, rank, settings)
        magnitude = None if kind.of_bias else _magnitude(file, module, stored.shape, base)
        yield name, Delta(file, kind, names, scale, *strength, magnitude)


def _kinds(file: SafetensorsFile, module: _Module, part: Part, settings: AdapterSettings) -> Iterator[Kind]:
    """The kinds that a module's tensors are of, those of its weight first."""
    there = module.names.keys()
    known = [kind for kind in adapters.KINDS if there & set(kind.roles)]
    factors = Role.FACTORS_OF_CHANGE in there or Role.FACTORS in there
    if Role.FACTORS_OF_CHANGE in there:
        yield adapters.ia3(bool(file.read_number(module.names[Role.ON_INPUT])), of_change=True)
    if Role.FACTORS in there:
        on_input = settings.is_on_input(module.key.module, file.shapes[module.names[Role.FACTORS]])
        yield adapters.ia3(on_input, of_change=False)
        if not on_input and _stored(part, f"{module.key.module}.bias") is not None:
            yield adapters.ia3(on_input, of_change=False, of_bias=True)
    # An alpha alone is a LoRA's whose other tensors are missing.
    yield from known if known or factors else (adapters.LORA,)


def _complete(file: SafetensorsFile, module: _Module, kind: Kind) -> dict[Role, str]:
    """The tensors that a kind reads."""
    names = {role: module.names[role] for role in kind.roles if role in module.names}
    for role in kind.needed({role: file.shapes[name] for role, name in names.items()}):
        if role not in names:
            there = next(iter(module.names.values()))
            raise CheckpointError(
                f"{file.path} has {there} without the {role.value} tensor that belongs to it",
                hint="Download or copy the file again: it is not whole.",
            )
    return names


def _strength(file: SafetensorsFile, module: _Module, rank: int, settings: AdapterSettings) -> tuple[float, float]:
    """Alpha and what it is divided by: alpha is a tensor of the module's own, or in the settings, or the rank."""
    if Role.ALPHA in module.names:
        return file.read_number(module.names[Role.ALPHA]), rank
    return settings.strength(module.key.part, module.key.module, rank)


def _magnitude(file: SafetensorsFile, module: _Module, weight: tuple[int, ...], base: Base) -> tuple[str, bool] | None:
    """DoRA's lengths, and whether they are of rows: LyCORIS says it by the shape, peft's always are."""
    for role in (Role.MAGNITUDE, Role.MAGNITUDE_OF_ROWS):
        name = module.names.get(role)
        if name is None:
            continue
        shape = file.shapes[name]
        count = math.prod(shape)
        of_rows = role is Role.MAGNITUDE_OF_ROWS or len(shape) < 2 or shape[0] == weight[0] != 1
        if role is Role.MAGNITUDE and count == weight[1] != weight[0]:
            of_rows = False
        if len(weight) < 2 or count != weight[0 if of_rows else 1]:
            raise CheckpointError(
                f"{name} {list(shape)} doesn't fit {module.key.module}.weight {list(weight)}",
                why=f"{file.path} is a DoRA for another architecture.",
                hint=base.hint("Use a LoRA for this checkpoint's architecture."),
            )
        return name, of_rows
    return None
