"""Options that several commands share."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from qnn_sd import artifact
from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.errors import OutputError, SettingError
from qnn_sd.export.checkpoint import Sources, parse_embedding, parse_lora

DEFAULT_MODEL = "tiny-sd"
DEFAULT_SOC = "sm8650"

Command = Callable[..., Any]

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


def refuse_bad_output(output: Path, suffix: str, why: str, beside: str | None = None) -> None:
    """Refuses a place that can't be written, before any work: hours of it must not end in a typo.

    Args:
        output: the file that is to be written.
        suffix: what its name must end in, such as ``.png``.
        why: said where it ends otherwise.
        beside: the suffix of a second file that is written under the same name, or None.

    Raises:
        OutputError: a folder, another suffix, or a place without the right to write.
    """
    _refuse_folder(output, suffix)
    if output.suffix.lower() != suffix:
        raise OutputError(f"Can't write {output}", why=why, hint=f"Give a name ending in {suffix}.")
    if beside is not None:
        _refuse_folder(output.with_suffix(beside), suffix)
    # Files of one folder: what holds for one holds for the other.
    artifact.probe_writable(output)


def _refuse_folder(path: Path, suffix: str) -> None:
    if path.is_dir() or not path.name:
        raise OutputError(
            f"Can't write {path}", why="It is a folder.", hint=f"Give another name, such as -o out{suffix}."
        )


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show the stages, what is cached and how long each took last time; make nothing."
)

prompts_option = click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prompts to calibrate with, UTF-8, one a line [the model's]. Other prompts are another build.",
)

device_option = click.option(
    "--device", metavar="SERIAL", help="The phone, as qnn-sd devices lists it [the one that is connected]."
)


encodings_option = click.option(
    "--encodings",
    type=click.Path(path_type=Path),
    help="Folder of AIMET encodings, <component>.json; what it lacks is measured.",
)

rounding_option = click.option(
    "--rounding",
    type=click.Choice(["adaround", "nearest"]),
    default="adaround",
    show_default=True,
    help="Of weights whose ranges are measured; nearest is faster and errs more.",
)


def component_option(known: Sequence[str], purpose: str) -> Callable[[Command], Command]:
    """``--component``, handed on as ``components``: those that were named, or all, in their own order.

    Args:
        known: the names that it takes.
        purpose: what it is done for, after "Component to".
    """

    def chosen(_context: click.Context, _option: click.Parameter, named: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in known if name in named or not named)

    return click.option(
        "--component",
        "components",
        multiple=True,
        type=click.Choice(known),
        callback=chosen,
        help=f"Component to {purpose}. Repeatable [all].",
    )


def output_options(command: Command) -> Command:
    """``--json`` and ``--quiet``, handed on as one ``console``; ``--debug``."""

    @functools.wraps(command)
    def with_console(as_json: bool, quiet: bool, **rest: Any) -> Any:
        return command(console=Console(as_json, quiet), **rest)

    wrapped: Command = with_console
    for option in (
        # The entry point reads it: it must hold before any option is understood.
        click.option(
            "--debug",
            is_flag=True,
            expose_value=False,
            help="Show a failure's traceback, with the log of a phone's worker.",
        ),
        click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else."),
    ):
        wrapped = option(wrapped)
    return wrapped


def model_options(command: Command) -> Command:
    """``--model`` and ``--size``, handed on as one config; what it is made from, as one ``sources``; ``--cache``."""

    @functools.wraps(command)
    def with_sources(
        checkpoint: str | None,
        vae: str | None,
        lora: tuple[str, ...],
        embedding: tuple[str, ...],
        tokenizer: Path | None,
        model: str,
        size: str | None,
        **rest: Any,
    ) -> Any:
        if rest["quiet"]:
            # huggingface_hub reads it when it is first imported, which a hub id does.
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        loras, embeddings = tuple(map(parse_lora, lora)), tuple(map(parse_embedding, embedding))
        config = load_model(model)
        if size is not None:
            config = config.resized(*_parse_size(size))
        return command(model=config, sources=Sources(checkpoint, vae, loras, embeddings, tokenizer), **rest)

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
        click.option("--size", metavar="WIDTHxHEIGHT", help="Of the picture, in steps of 64 [the model's default]."),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model config to build."),
    ):
        wrapped = option(wrapped)
    return wrapped
