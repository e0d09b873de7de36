"""Options that several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from qnn_sd.export.checkpoint import Sources, parse_embedding, parse_lora

DEFAULT_MODEL = "tiny-sd"
DEFAULT_SOC = "sm8650"

Command = Callable[..., Any]


def output_options(command: Command) -> Command:
    """``--json``, ``--quiet`` and ``--debug``."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of a failure."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else."),
    ):
        command = option(command)
    return command


def model_options(command: Command) -> Command:
    """``--model``, ``--cache``, and what the model is made from: handed on as one ``sources``."""

    @functools.wraps(command)
    def with_sources(
        checkpoint: str | None,
        vae: str | None,
        lora: tuple[str, ...],
        embedding: tuple[str, ...],
        tokenizer: Path | None,
        **rest: Any,
    ) -> Any:
        if rest["quiet"]:
            # huggingface_hub reads it when it is first imported, which a hub id does.
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        loras, embeddings = tuple(map(parse_lora, lora)), tuple(map(parse_embedding, embedding))
        return command(sources=Sources(checkpoint, vae, loras, embeddings, tokenizer), **rest)

    wrapped: Command = with_sources
    for option in (
        click.option("--cache", type=click.Path(path_type=Path), help="Folder for what is built [QNN_SD_CACHE]."),
        click.option(
            "--tokenizer",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="Folder with vocab.json and merges.txt, for a checkpoint that brings none.",
        ),
        click.option(
            "--embedding",
            multiple=True,
            metavar="[NAME=]PATH",
            help="Textual inversion, called by its name in the prompt. Repeatable.",
        ),
        click.option("--lora", multiple=True, metavar="PATH[:SCALE]", help="LoRA to merge. Repeatable."),
        click.option("--vae", metavar="PATH", help="VAE for the checkpoint's: folder, .safetensors file or hub id."),
        click.option(
            "--checkpoint",
            metavar="PATH",
            help="Folder in diffusers' layout, .safetensors file or hub id, for the model's own.",
        ),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model config to build."),
    ):
        wrapped = option(wrapped)
    return wrapped
