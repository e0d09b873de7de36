"""Which model config a checkpoint is built with: the one that fits it, else the nearest, or the one that was named."""

from __future__ import annotations

from collections.abc import Callable
from math import log

from qnn_sd import resources
from qnn_sd.config import ModelConfig, is_possible_size, load_model, models, models_for
from qnn_sd.config.model_config import LARGEST_SIDE, SIZE_STEP
from qnn_sd.errors import SettingError, UnknownModelError
from qnn_sd.export.checkpoint import Checkpoint

Say = Callable[[str], None]


def choose_model(
    named: ModelConfig | None, checkpoint: Checkpoint, size: tuple[int, int] | None, is_own: bool, say: Say
) -> ModelConfig:
    """The model config for a checkpoint, at the size of its images.

    Without a size, one that was found has the checkpoint's own, and one that was named keeps its own.

    Args:
        named: the one that a person named, or None.
        checkpoint: an open one.
        size: width and height in pixels, if a person gave them.
        is_own: whether the checkpoint is the named config's own one.
        say: is told what was chosen, and why.

    Raises:
        SettingError: another config than the named one fits, several do, or the size isn't possible.
        UnknownModelError: none was named, and none has the checkpoint's latents.
    """
    fitting = [
        model
        for model in models_for(checkpoint.architecture.cross_attention_dim)
        if model.architecture == checkpoint.architecture
    ]
    if named is None:
        found = _only_one(fitting, checkpoint) if fitting else _nearest(checkpoint, say)
        chosen = _sized_like(checkpoint, found, size, say)
        say(f"model config {found.name}, from {checkpoint.architecture_told_by}: {chosen.width}x{chosen.height}")
        return chosen
    _refuse_misfit(named, fitting, checkpoint, say)
    own = checkpoint.own_size
    if size is None and not is_own and own not in (None, (named.width, named.height)):
        say(
            f"{named.width}x{named.height}, the size of {named.name}, which was named; the checkpoint's own is "
            f"{_text(own)}"
        )
    return named if size is None else named.resized(*size)


def _text(size: tuple[int, int] | None) -> str:
    return "unknown" if size is None else f"{size[0]}x{size[1]}"


def _only_one(fitting: list[ModelConfig], checkpoint: Checkpoint) -> ModelConfig:
    if len(fitting) == 1:
        return fitting[0]
    raise SettingError(
        f"Several model configs fit {checkpoint.origin}: {', '.join(model.name for model in fitting)}",
        why=f"All are for {checkpoint.architecture}.",
        hint=f"Choose one: {' or '.join(f'--model {model.name}' for model in fitting)}.",
    )


def _nearest(checkpoint: Checkpoint, say: Say) -> ModelConfig:
    """The config with the checkpoint's latents whose text is nearest to the checkpoint's in width, by their ratio."""
    theirs = checkpoint.architecture
    every = [load_model(name) for name in models()]
    able = [model for model in every if model.architecture.same_latents(theirs)]
    if able:
        width = theirs.cross_attention_dim
        found = min(able, key=lambda model: abs(log(model.architecture.cross_attention_dim / width)))
        say(
            f"no model config fits {checkpoint.origin.name} ({theirs}): prompts and defaults are those of "
            f"{found.name}, the nearest; --model takes another one"
        )
        return found
    known = "; ".join(f"{model.name} is for {model.architecture}" for model in every)
    example = resources.model_configs() / f"{every[0].name}.toml"
    raise UnknownModelError(
        f"No model config fits {checkpoint.origin}",
        why=f"It has {checkpoint.architecture}. {known}.",
        hint=f"Write one: copy {example} to mine.toml, change it, and type --model mine.toml. "
        f"Or take the size and prompts of another: --model {' or --model '.join(model.name for model in every)}.",
    )


def _refuse_misfit(named: ModelConfig, fitting: list[ModelConfig], checkpoint: Checkpoint, say: Say) -> None:
    if named.architecture == checkpoint.architecture:
        return
    if fitting:
        names = " or ".join(f"--model {model.name}" for model in fitting)
        raise SettingError(
            f"--model {named.name} doesn't fit {checkpoint.origin}",
            why=f"That has {checkpoint.architecture}; {named.name} is for {named.architecture}.",
            hint=f"Leave --model out, or type {names}.",
        )
    say(
        f"no model config fits {checkpoint.origin.name} ({checkpoint.architecture}): size, prompts and defaults are "
        f"those of {named.name}, which was named"
    )


def _sized_like(checkpoint: Checkpoint, model: ModelConfig, size: tuple[int, int] | None, say: Say) -> ModelConfig:
    """A config that was found, at the size that was asked for, or at the checkpoint's own."""
    if size is not None:
        return model.resized(*size)
    own = checkpoint.own_size
    if own is None or own == (model.width, model.height):
        return model
    if not is_possible_size(*own):
        steps = f"sides go in steps of {SIZE_STEP}, to {LARGEST_SIDE}"
        say(f"the checkpoint's own size, {_text(own)}, can't be built: {steps}")
        return model
    say(f"{_text(own)} is the checkpoint's own size; for that of {model.name} type --size {model.width}x{model.height}")
    return model.resized(*own)
