"""LoRAs, embeddings, VAEs and tokenizers of another model than the one they are put into.

The likeliest cause comes first: the checkpoint or the model wasn't named, so that they met the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.config import ModelConfig, models_for
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.architecture import lora_kin, lora_text_widths
from qnn_sd.export.checkpoint.fit import vae_architecture
from qnn_sd.export.checkpoint.parts import Part

FORGOTTEN = "Was the checkpoint forgotten? Add --checkpoint FILE"


@dataclass(frozen=True)
class Base:
    """The checkpoint that something is put into, as messages call it.

    Attributes:
        own: the model config whose own checkpoint it is, because none was named; else None.
        name: of its file or folder, or its hub id.
        width: of its text embeddings.
    """

    own: ModelConfig | None
    name: str
    width: int

    @property
    def title(self) -> str:
        """The demo model, a model config's name, or the checkpoint's."""
        if self.own is None:
            return self.name
        return "the demo model" if self.is_demo else self.own.name

    @property
    def is_demo(self) -> bool:
        """Whether nobody named a checkpoint, nor a model with one on the hub."""
        return self.own is not None and not self.own.from_hub

    def next_for(self, width: int) -> str:
        """What to type for something that was made for text of another width."""
        configs = models_for(width)
        options = " or ".join(f"--model {config.name}" for config in configs)
        if self.own is None:
            alternative = f", or {options} and no --checkpoint" if configs else ""
            return f"Give the --checkpoint that it was made for{alternative}."
        if not configs:
            return f"{FORGOTTEN}: the one that it was made for."
        if any(config.from_hub for config in configs):
            return f"{FORGOTTEN} or {options}."
        return f"Type {options}, whose width it has."

    def hint(self, otherwise: str) -> str:
        """A hint for something that doesn't fit for another reason than its width."""
        return f"{FORGOTTEN} or --model NAME. {otherwise}" if self.is_demo else otherwise


def _models_of(width: int) -> str:
    names = ", ".join(config.name for config in models_for(width))
    return f" ({names})" if names else ""


def refuse_lora_of_other_width(path: Path, shapes: Mapping[str, tuple[int, ...]], base: Base) -> None:
    """Raises for a LoRA whose text is of another width than the checkpoint's.

    One for SDXL, say, is left to who knows its names.

    Raises:
        CheckpointError: saying which model it is for.
    """
    widths = lora_text_widths(shapes)
    if not widths or base.width in widths or lora_kin(shapes):
        return
    width = max(widths)
    raise CheckpointError(
        f"{path} is a LoRA for a model whose text is {width} wide{_models_of(width)}, {base.title}'s is {base.width}",
        why="It was trained for another model than the one that it would be merged into.",
        hint=base.next_for(width),
    )


def embedding_of_other_width(path: Path, shape: str, width: int, base: Base) -> CheckpointError:
    """The error for a textual inversion of another width than the checkpoint's text.

    Args:
        path: its file.
        shape: what is said of its tensor.
        width: of its vectors.
        base: what it would be put into.
    """
    return CheckpointError(
        f"{path} is a textual inversion for a model whose text is {width} wide{_models_of(width)}, "
        f"{base.title}'s is {base.width}",
        why=shape,
        hint=base.next_for(width),
    )


def refuse_other_vae(vae: Part, parts: Mapping[str, Part], base: Base) -> None:
    """Raises for a VAE whose latent isn't the UNet's.

    Args:
        vae: the one that was given.
        parts: the checkpoint's networks, this VAE among them.
        base: what it would be put into.

    Raises:
        CheckpointError: it has other channels, or another factor than all models of the UNet's text width.
    """
    channels, factor = vae_architecture(vae)
    needed = parts["unet"].config.get("out_channels", 4)
    if isinstance(needed, int) and channels != needed:
        raise CheckpointError(
            f"{vae.origin} is a VAE for another model: its latent has {channels} channels, {base.title}'s {needed}",
            why="The UNet makes a latent with as many channels as it was trained with.",
            hint=base.hint("Give --vae one for Stable Diffusion 1.x, whose latent has 4 channels."),
        )
    configs = models_for(base.width)
    if configs and factor not in {config.architecture.vae_factor for config in configs}:
        usual = configs[0].architecture.vae_factor
        raise CheckpointError(
            f"{vae.origin} is a VAE for another model: it makes {factor}x{factor} pixels for one of the latent, "
            f"{base.title}'s {usual}x{usual}",
            why="The image would have another size than the UNet was trained for.",
            hint=base.hint("Give --vae one for Stable Diffusion 1.x."),
        )


def refuse_other_text_encoder(text_encoder: Part, width: int, base: Base) -> None:
    """Raises for a text encoder whose states the UNet can't attend to.

    Args:
        text_encoder: the one that was given.
        width: of its states.
        base: what it would be put into, with the width of the UNet's text.

    Raises:
        CheckpointError: saying which model it is for.
    """
    if width != base.width:
        raise CheckpointError(
            f"{text_encoder.origin} is a text encoder {width} wide{_models_of(width)}, {base.title}'s UNet attends to "
            f"{base.width}",
            why="It was trained for another model.",
            hint=base.next_for(width),
        )
