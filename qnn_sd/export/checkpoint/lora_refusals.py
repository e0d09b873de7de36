"""What is said of LoRAs that don't fit the checkpoint, or hold more than an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.adapters import Kind
from qnn_sd.export.checkpoint.architecture import lora_kin
from qnn_sd.export.checkpoint.lora_names import Role
from qnn_sd.export.checkpoint.misfit import Base
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensor_names import first_names

_FOR_SD1 = "Use a LoRA for Stable Diffusion 1.x."


def refuse_strangers(file: SafetensorsFile, strangers: list[str], base: Base) -> NoReturn:
    """Raises for a file with tensors that belong to nothing here.

    Args:
        file: the LoRA's.
        strangers: those tensors; empty for a file without any.
        base: what it would be merged into.

    Raises:
        UnsupportedModelError: it is for another architecture (named).
        CheckpointError: nobody knows what they are for.
    """
    kin = lora_kin(file.shapes)
    if kin:
        raise UnsupportedModelError(
            f"{file.path} is a LoRA for {kin}",
            why=f"It has {', '.join(sorted(strangers)[:3])}, which nothing here is called.",
            hint=_FOR_SD1,
        )
    if not strangers:
        raise CheckpointError(f"{file.path} is empty", hint="Download or copy the file again.")
    raise CheckpointError(
        f"{file.path} has {len(strangers)} of {len(file.shapes)} tensors that match nothing in this checkpoint",
        why=f"The first are {', '.join(sorted(strangers)[:3])}.",
        hint=base.hint("Is this a LoRA, and one for Stable Diffusion 1.x?"),
    )


def whole_weights(file: SafetensorsFile, names: list[str]) -> UnsupportedModelError:
    """The error for weights in a LoRA's file that would take the place of the checkpoint's own."""
    return UnsupportedModelError(
        f"{file.path} has {first_names(names)} beside its adapter, which qnn-sd doesn't merge",
        why="They take the place of the checkpoint's own: peft's modules_to_save, or trained biases.",
        hint="Merge the file into a checkpoint with the tool it was trained with (merge_and_unload in peft).",
    )


def misfit(
    file: SafetensorsFile,
    kind: Kind,
    names: Mapping[Role, str],
    name: str,
    weight: tuple[int, ...],
    base: Base,
) -> CheckpointError | UnsupportedModelError:
    """The error for an adapter whose product has another shape than the weight.

    Args:
        file: the adapter's.
        kind: of it.
        names: of its tensors, by role.
        name: of the weight.
        weight: its shape.
        base: the checkpoint.
    """
    if kind.size({role: file.shapes[each] for role, each in names.items()}) is None:
        shapes = ", ".join(f"{each} {list(file.shapes[each])}" for each in names.values())
        return CheckpointError(
            f"The tensors of {file.path} don't fit each other",
            why=f"They are {shapes}.",
            hint="Get the file from where it was made.",
        )
    kin = lora_kin(file.shapes)
    tensors = " times ".join(f"{each} {list(file.shapes[each])}" for each in list(names.values())[::-1])
    said = f"{tensors} doesn't fit {name} {list(weight)}"
    if kin == "SDXL":
        return UnsupportedModelError(f"{file.path} is a {kind.title} for {kin}", why=f"{said}.", hint=_FOR_SD1)
    return CheckpointError(
        said,
        why=f"{file.path} is a {kind.title} for {kin or 'another architecture'}.",
        hint=base.hint("Use a LoRA for this checkpoint's architecture."),
    )
