"""The options that say what is built, and from what: one object for all commands that build."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from qnn_sd.cli.options import Command
from qnn_sd.config import ModelConfig, Rounding, load_model
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint import Sources, parse_embedding, parse_lora
from qnn_sd.pipeline import BuildPipeline

DEFAULT_MODEL = "tiny-sd"

_SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})")


def _parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` in pixels.

    Raises:
        SettingError: it is spelled otherwise.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingError(f"{text!r} is no size", hint="Give width x height in pixels, such as --size 512x768.")
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class BuildRequest:
    """What a command was told to build.

    Attributes:
        model: its config, at the size that was asked for.
        sources: a checkpoint instead of the model's own, and what is put into it.
        cache: folder of the artifacts; None for the user's.
        dry_run: whether nothing is to be made.
        prompts: a file of prompts to calibrate with; None for the model's own.
        rounding: of weights.
        encodings: a folder of given encodings; None for measured ones.
        verify: whether what is built is verified.
    """

    model: ModelConfig
    sources: Sources
    cache: Path | None
    dry_run: bool = False
    prompts: Path | None = None
    rounding: Rounding = "adaround"
    encodings: Path | None = None
    verify: bool = True

    def pipeline(self, console: Console) -> BuildPipeline:
        """The pipeline to it; opens the checkpoint.

        Args:
            console: where progress is shown.
        """
        return BuildPipeline(
            self.model,
            console,
            self.sources,
            self.cache,
            encodings=self.encodings,
            dry_run=self.dry_run,
            prompts=self.prompts,
            rounding=self.rounding,
            verify=self.verify,
        )


_MODEL_OPTIONS = (
    click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model config to build."),
    click.option("--size", metavar="WIDTHxHEIGHT", help="Of the image, in steps of 64 [the model's default]."),
    click.option(
        "--checkpoint",
        metavar="PATH",
        help="Folder in diffusers' layout, .safetensors file or hub id, for the model's own.",
    ),
    click.option("--vae", metavar="PATH", help="VAE for the checkpoint's: folder, .safetensors file or hub id."),
    click.option("--lora", multiple=True, metavar="PATH[:SCALE]", help="LoRA to merge. Repeatable."),
    click.option(
        "--embedding",
        multiple=True,
        metavar="[NAME=]PATH",
        help="Textual inversion, called by its name in the prompt. Repeatable.",
    ),
    click.option(
        "--tokenizer",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Folder with vocab.json and merges.txt, for a checkpoint that brings none.",
    ),
    click.option("--cache", type=click.Path(path_type=Path), help="Folder for what is built [QNN_SD_CACHE]."),
)
_QUANTIZE_OPTIONS = (
    click.option(
        "--rounding",
        type=click.Choice(["adaround", "nearest"]),
        default="adaround",
        show_default=True,
        help="Of weights whose ranges are measured; nearest is faster and errs more.",
    ),
    click.option(
        "--encodings",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="AIMET encodings, <component>.json, instead of measured ones; what it lacks is measured.",
    ),
    click.option(
        "--prompts",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Prompts to calibrate with, UTF-8, one a line [the model's]. Other prompts are another build.",
    ),
)
_VERIFY = click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Hold what is built against the float model, and binaries on the emulator; images remember if not.",
)
_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Show the stages, what is cached and how long each took last time; make nothing."
)


def model_options(command: Command) -> Command:
    """What names a model, its size, its checkpoint and the cache, handed on as ``build_request``."""
    return _with_building(command, _MODEL_OPTIONS)


def float_options(command: Command) -> Command:
    """The same and ``--dry-run``, for a command that makes float graphs."""
    return _with_building(command, (_DRY_RUN, *_MODEL_OPTIONS))


def quantize_options(command: Command) -> Command:
    """The same and how the model is quantized, for a command that makes QDQ graphs."""
    return _with_building(command, (*_QUANTIZE_OPTIONS, _DRY_RUN, *_MODEL_OPTIONS))


def build_options(command: Command) -> Command:
    """All of what is built: the model, how it is quantized and verified, ``--dry-run``."""
    return _with_building(command, (*_QUANTIZE_OPTIONS, _VERIFY, _DRY_RUN, *_MODEL_OPTIONS))


def _with_building(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    @functools.wraps(command)
    def with_building(
        model: str,
        size: str | None,
        checkpoint: str | None,
        vae: str | None,
        lora: tuple[str, ...],
        embedding: tuple[str, ...],
        tokenizer: Path | None,
        cache: Path | None,
        **rest: Any,
    ) -> Any:
        if rest["quiet"]:
            # huggingface_hub reads it when it is first imported, which a hub id does.
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        how = {
            name: rest.pop(name) for name in ("dry_run", "prompts", "rounding", "encodings", "verify") if name in rest
        }
        sources = Sources(
            checkpoint, vae, tuple(map(parse_lora, lora)), tuple(map(parse_embedding, embedding)), tokenizer
        )
        config = load_model(model)
        if size is not None:
            config = config.resized(*_parse_size(size))
        return command(build_request=BuildRequest(config, sources, cache, **how), **rest)

    wrapped: Command = with_building
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
