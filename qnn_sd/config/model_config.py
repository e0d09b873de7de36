"""``model_configs/<model>.toml``: a model, what it is calibrated with, and what its builds are verified with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qnn_sd import resources
from qnn_sd.config.architecture import Architecture
from qnn_sd.config.toml_file import StrictModel, read_toml, refuse_other_name, toml_names
from qnn_sd.errors import SettingError, UnknownModelError, did_you_mean

LCM_STEPS = 4


# The UNet halves the latent three times, and the VAE made it an eighth of the image.
SIZE_STEP = 64
LARGEST_SIDE = 2048


def _nearest_side(side: int) -> int:
    return min(max(round(side / SIZE_STEP), 1) * SIZE_STEP, LARGEST_SIDE)


# The model that is built where nobody names one, nor a checkpoint.
DEMO_MODEL = "tiny-sd"

Rounding = Literal["adaround", "nearest"]


def refuse_bad_size(width: int, height: int) -> None:
    """Raises for an image size, in pixels, that no model can have.

    Raises:
        SettingError: a side isn't one of 64, 128, ..., 2048.
    """
    if not is_possible_size(width, height):
        raise SettingError(
            f"--size {width}x{height} is not possible",
            why=f"Sides go in steps of {SIZE_STEP} pixels, to {LARGEST_SIDE}.",
            hint=f"Choose --size {_nearest_side(width)}x{_nearest_side(height)} (width x height).",
        )


def is_possible_size(width: int, height: int) -> bool:
    """Whether images of this size, in pixels, can be made."""
    return all(side % SIZE_STEP == 0 and SIZE_STEP <= side <= LARGEST_SIDE for side in (width, height))


class GuidanceSetting(StrictModel):
    """What of a command line changes what the UNet is fed.

    Attributes:
        guidance: scale of classifier-free guidance; 1 is none, and has no negative pass.
        negative: whether there is a negative prompt.
    """

    guidance: float
    negative: bool


class RecordedConfig(StrictModel):
    """Which prompts the float model generates, to record what its components are fed.

    Attributes:
        prompts: file of prompts, one a line, relative to ``assets/``.
        negatives: the same of negative prompts.
        texts: most prompts of the file that the text encoder is fed.
        trajectories: how many prompts are generated.
        images: how many of them to the end, for the VAE.
        seed: of the first prompt's noise; the next prompt has the next one.
    """

    prompts: str
    negatives: str
    texts: Annotated[int, Field(ge=1)] = 500
    trajectories: Annotated[int, Field(ge=1, le=9999)]
    images: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    @model_validator(mode="after")
    def _no_more_images_than_prompts(self) -> Self:
        if self.images > self.trajectories:
            raise ValueError(f"{self.images} images of {self.trajectories} trajectories")
        return self


class CalibrationConfig(RecordedConfig):
    """How the activation ranges are measured, and on what the result is judged.

    Attributes:
        steps: sampling steps from noise to image.
        kept_steps: how many of them each prompt keeps (each guidance pass).
        guidance: the scales, beside the model's default, at which prompts are generated. Each scale comes with and
            without a negative prompt.
        held_out: other prompts with other noise, to judge with; never measured.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    kept_steps: Annotated[int, Field(ge=1)] = 4
    guidance: tuple[Annotated[float, Field(ge=1, le=50)], ...] = (1.0, 15.0)
    held_out: RecordedConfig

    @model_validator(mode="after")
    def _steps_are_there_and_noise_is_apart(self) -> Self:
        if self.kept_steps > self.steps:
            raise ValueError(f"{self.kept_steps} kept steps of {self.steps}")
        ours, theirs = (range(each.seed, each.seed + each.trajectories) for each in (self, self.held_out))
        if max(ours.start, theirs.start) < min(ours.stop, theirs.stop):
            raise ValueError("held-out seeds would be those of the calibration; move held_out.seed")
        return self


class VerificationConfig(StrictModel):
    """What a build is verified with: trajectories from other prompts and noise than anything was fitted to.

    Attributes:
        prompts: file of prompts, one a line, relative to ``assets/``.
        negatives: the same of negative prompts.
        seed: of the first prompt's noise.
        steps: sampling steps from noise to image.
        looked_at: how many of these steps, from the first to the last; 1 is the last.
        prompts_per_setting: how many prompts are generated at each guidance scale, with and without a negative prompt.
        images: how many of these prompts are generated to the end, for the VAE's halves, and asked of the emulator.
        texts: how many texts the text encoder is verified on.
        emulator_minutes: about how long the emulator takes for all components; where it is set, no image of a report is
            generated there. 0 for seconds.
    """

    prompts: str
    negatives: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    looked_at: Annotated[int, Field(ge=1)] = 3
    prompts_per_setting: Annotated[int, Field(ge=1)] = 3
    images: Annotated[int, Field(ge=1)] = 2
    texts: Annotated[int, Field(ge=1)] = 4
    emulator_minutes: Annotated[int, Field(ge=0)] = 0

    @property
    def kept(self) -> tuple[int, ...]:
        """The steps that are looked at, from 0."""
        if self.looked_at == 1:
            return (self.steps - 1,)
        places = range(min(self.looked_at, self.steps))
        return tuple(place * (self.steps - 1) // max(1, len(places) - 1) for place in places)


class RoundingConfig(StrictModel):
    """What AdaRound rounds weights on.

    Attributes:
        samples: recorded calls of a component, at most, evenly chosen from all.
        held_out: the same of those that only judge.
    """

    samples: Annotated[int, Field(ge=1)] = 32
    held_out: Annotated[int, Field(ge=1)] = 8


class QuantizationConfig(StrictModel):
    """How many bits weights get; activations have 16.

    Attributes:
        weight_bits: of weights that no pattern names.
        weight_overrides: bits by component and pattern of weights' names, as ``fnmatch`` reads it.
    """

    weight_bits: Literal[4, 8] = 8
    weight_overrides: Mapping[str, Mapping[str, Literal[4, 8]]] = Field(default_factory=dict)


class ModelConfig(StrictModel):
    """One model that qnn-sd knows how to build.

    Attributes:
        name: as ``--model`` takes it.
        title: as people call it.
        checkpoint: a name is a folder in diffusers' layout in ``assets/``, ``owner/name`` a hub id.
        height: of the image, in pixels.
        width: of the image, in pixels.
        steps: default number of sampling steps.
        guidance: default guidance scale.
        scheduler: default scheduler.
        licence: of the weights.
        architecture: of the checkpoints that it suits.
        calibration: what is recorded.
        quantization: bit widths.
        rounding: what of it weights are rounded on.
        verification: what its builds are verified with.
        embeds_guidance: whether the UNet takes the guidance scale as an input: it has no negative pass then.
    """

    name: str
    title: str
    checkpoint: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
    height: Annotated[int, Field(ge=8, multiple_of=8)]
    width: Annotated[int, Field(ge=8, multiple_of=8)]
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    guidance: Annotated[float, Field(ge=1, le=50)] = 7.5
    scheduler: str = "dpm++2m"
    licence: str
    architecture: Architecture
    calibration: CalibrationConfig
    quantization: QuantizationConfig = QuantizationConfig()
    rounding: RoundingConfig = RoundingConfig()
    verification: VerificationConfig
    embeds_guidance: bool = False

    @property
    def calibrated(self) -> tuple[GuidanceSetting, ...]:
        """Its calibration settings in their turns: between two others, the default guidance each time."""
        own, others = self.default_settings, [each for each in self.settings if each not in self.default_settings]
        return tuple(turn for other in others for turn in (*own, other)) or own

    @property
    def default_settings(self) -> tuple[GuidanceSetting, ...]:
        """Those of the model's default guidance scale."""
        return tuple(each for each in self.settings if each.guidance == self.guidance)

    @property
    def settings(self) -> tuple[GuidanceSetting, ...]:
        """The settings that a build is calibrated and verified for: the model's default guidance scale first."""
        scales = dict.fromkeys((self.guidance, *self.calibration.guidance))
        return tuple(
            GuidanceSetting(guidance=scale, negative=negative)
            for scale in scales
            for negative in (False, True)[: 2 if scale > 1 and not self.embeds_guidance else 1]
        )

    @property
    def from_hub(self) -> bool:
        """Whether the checkpoint is a hub id, not one of ``assets/``."""
        return "/" in self.checkpoint

    def resized(self, width: int, height: int) -> ModelConfig:
        """The same model for images of another size, in pixels.

        Raises:
            SettingError: a side isn't one of 64, 128, ..., 2048.
        """
        refuse_bad_size(width, height)
        return self.model_copy(update={"width": width, "height": height})

    def for_lcm(self, embeds_guidance: bool) -> ModelConfig:
        """The same model with a latent consistency model's defaults: few steps, and its own scheduler.

        Args:
            embeds_guidance: whether the UNet takes the guidance scale as an input. One that doesn't
                was distilled with its guidance inside, and needs no second pass.
        """
        # As diffusers' LatentConsistencyModelPipeline has them. So few steps are all kept.
        few = {"steps": LCM_STEPS, "kept_steps": LCM_STEPS, "guidance": ()}
        calibration = self.calibration.model_copy(update=few)
        verification = self.verification.model_copy(update={"steps": LCM_STEPS})
        guidance = 8.5 if embeds_guidance else 1.0
        return self.model_copy(
            update={
                "steps": LCM_STEPS,
                "guidance": guidance,
                "scheduler": "lcm",
                "calibration": calibration,
                "verification": verification,
                "embeds_guidance": embeds_guidance,
            }
        )


def models() -> list[str]:
    """Names of the models that have a config."""
    return toml_names(resources.model_configs())


# Those that people ask for, by what their names begin with, without signs.
_OTHER_ARCHITECTURES = {
    "sdxl": "SDXL",
    "stablediffusionxl": "SDXL",
    "sd3": "Stable Diffusion 3",
    "stablediffusion3": "Stable Diffusion 3",
    "flux": "FLUX",
    "sd2": "Stable Diffusion 2",
    "stablediffusion2": "Stable Diffusion 2",
    "pixart": "PixArt",
    "sdturbo": "SD Turbo",
}


def _refuse_other_architecture(name: str) -> None:
    plain = re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].lower())
    title = next((title for begin, title in _OTHER_ARCHITECTURES.items() if plain.startswith(begin)), None)
    if title is not None:
        raise UnknownModelError(
            f"{title} isn't supported; model configs: {', '.join(models())}", hint="Choose one of them with --model."
        )


def models_for(text_width: int) -> list[ModelConfig]:
    """The configs of models whose UNet attends to text of a width."""
    every = map(load_model, models())
    return [model for model in every if model.architecture.cross_attention_dim == text_width]


def load_model(name: str) -> ModelConfig:
    """The config of a model, such as ``tiny-sd``.

    Args:
        name: one of ``models()``, or the path of a file that ends in ``.toml``.

    Raises:
        UnknownModelError: there is none; the nearest name is suggested.
        ConfigError: its file doesn't follow the schema.
    """
    path = resources.model_configs() / f"{name}.toml"
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UnknownModelError(f"The model config {name} is missing", hint="Is the path right?")
    elif name not in models():
        _refuse_other_architecture(name)
        # Others' programs call a checkpoint a model.
        is_path = "/" in name or Path(name).suffix in (".safetensors", ".ckpt")
        checkpoint = f"For a checkpoint type --checkpoint {name}. " if is_path else ""
        raise UnknownModelError(f"Unknown model {name!r}", hint=f"{checkpoint}{did_you_mean(name, models())}")
    model = read_toml(path, ModelConfig)
    refuse_other_name(path, model.name)
    return model
