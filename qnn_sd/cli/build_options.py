"""The options that say what is built, and from what: one object for all commands that build."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from qnn_sd.cli.help import BUILD, MODEL, QUANTIZATION, option
from qnn_sd.cli.options import Command, cache_option
from qnn_sd.cli.prompt_length import refuse_bad_chunks
from qnn_sd.cli.value_types import Prediction
from qnn_sd.config import DEMO_MODEL, ModelConfig, Rounding, load_model, refuse_bad_size
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint import Sources, parse_embedding, parse_lora
from qnn_sd.pipeline import BuildPipeline

# Also as a multiplication sign, a comma or a space between; one number is a square.
_SIZE = re.compile(r"(\d{1,5})(?:\s*[xX×*,:\s]\s*(\d{1,5}))?(?:\s*px)?")  # noqa: RUF001 (the sign)


def _parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` in pixels; one number for a square.

    Raises:
        SettingError: it is spelled otherwise.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingError(
            f"{text!r} is no size",
            hint="Give width x height in pixels, such as --size 512x768, or --size 512 for a square.",
        )
    return int(match[1]), int(match[2] or match[1])


@dataclass(frozen=True)
class BuildRequest:
    """What a command was told to build.

    Attributes:
        model: the config that was named, or the demo's; None where the checkpoint decides.
        size: width and height in pixels, if they were given.
        further_sizes: those that were typed after the first.
        sources: a checkpoint instead of the model's own, and what is put into it.
        cache: folder of the artifacts; None for the user's.
        dry_run: whether nothing is to be made.
        prompts: a file of prompts to calibrate with; None for the model's own.
        rounding: of weights.
        is_demo: whether the demo is built because neither a model nor a checkpoint was named.
        encodings: a folder of given encodings; None for measured ones.
        verify: whether what is built is verified.
        yes: whether nobody is asked before a long build.
        prompt_chunks: chunks of text that the UNet takes; None where nobody said.
    """

    model: ModelConfig | None
    sources: Sources
    cache: Path | None
    size: tuple[int, int] | None = None
    further_sizes: tuple[tuple[int, int], ...] = ()
    is_demo: bool = False
    dry_run: bool = False
    prompts: Path | None = None
    rounding: Rounding = "adaround"
    encodings: Path | None = None
    verify: bool = True
    yes: bool = False
    prompt_chunks: int | None = None

    def announce(self, console: Console) -> None:
        """Says, once for a console, that it is the demo that will be built, if nobody asked for it."""
        model = self.sized_model
        if self.is_demo and model is not None:
            console.say_once(f"no --checkpoint: the demo model ({model.name}, {model.width}x{model.height})")

    @property
    def sized_model(self) -> ModelConfig | None:
        """``model`` at the size that was asked for."""
        return self.model if self.model is None or self.size is None else self.model.resized(*self.size)

    def pipeline(self, console: Console) -> BuildPipeline:
        """The pipeline to it; opens the checkpoint, which may decide the model.

        Args:
            console: where progress is shown.
        """
        self.announce(console)
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
            size=self.size,
        ).at_chunks(self.prompt_chunks or 1)


_SIZE_HELP = "Size of the image in pixels, in steps of 64; 512 is 512x512."
_SIZE_DEFAULT = "the model's, or the checkpoint's own"
_SIZE_OPTION = option("--size", group=MODEL, metavar="WIDTHxHEIGHT", default_text=_SIZE_DEFAULT, help=_SIZE_HELP)
_SIZES = option(
    "--size",
    group=MODEL,
    multiple=True,
    metavar="WIDTHxHEIGHT",
    default_text=_SIZE_DEFAULT,
    help=f"{_SIZE_HELP} Repeatable: the sizes share one set of weights.",
)
_MODEL_OPTIONS = (
    option(
        "--model",
        group=MODEL,
        metavar="NAME",
        default_text=f"the one that fits the checkpoint; without one {DEMO_MODEL}",
        help="Model config to build, or the path of one, FILE.toml.",
    ),
    _SIZE_OPTION,
    option(
        "--checkpoint",
        group=MODEL,
        metavar="PATH",
        default_text="the model's",
        help="Checkpoint: a folder in diffusers' layout, a .safetensors file or a hub id.",
    ),
    option(
        "--vae",
        group=MODEL,
        metavar="PATH",
        default_text="the checkpoint's",
        help="VAE: a folder, a .safetensors file or a hub id.",
    ),
    option(
        "--text-encoder",
        group=MODEL,
        metavar="PATH",
        default_text="the checkpoint's",
        help="Text encoder: a folder, a .safetensors file or a hub id.",
    ),
    option(
        "--prediction",
        group=MODEL,
        type=Prediction(["epsilon", "v"]),
        default_text="as the checkpoint's files say",
        help="What the UNet predicts, where the files don't say it.",
    ),
    option(
        "--lora",
        group=MODEL,
        multiple=True,
        metavar="PATH[:SCALE]",
        default_text="none",
        help="LoRA to merge into the weights: a file, a folder or a hub id. Repeatable.",
    ),
    option(
        "--embedding",
        group=MODEL,
        multiple=True,
        metavar="[NAME=]PATH",
        default_text="none",
        help="Textual inversion (file, folder or hub id); the prompt calls it by its name. Repeatable.",
    ),
    option(
        "--tokenizer",
        group=MODEL,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default_text="the checkpoint's; for a single file CLIP's",
        help="Folder with vocab.json and merges.txt.",
    ),
    option(
        "--clip-skip",
        group=MODEL,
        type=int,
        metavar="N",
        default_text="1, or what the text encoder's config says",
        help="Layer of the text encoder that answers, from the last, which is 1; 2 is the one before it. It is another "
        "build.",
    ),
    option(
        "--prompt-chunks",
        group=MODEL,
        type=int,
        metavar="N",
        default_text="1; run: as many as the prompt needs",
        help="Chunks of 75 tokens that the UNet takes. A UNet of several is another build.",
    ),
    cache_option,
)
_QUANTIZE_OPTIONS = (
    option(
        "--rounding",
        group=QUANTIZATION,
        type=click.Choice(["adaround", "nearest"]),
        default="adaround",
        help="Rounding of weights; nearest is faster and less accurate.",
    ),
    option(
        "--encodings",
        group=QUANTIZATION,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default_text="all are measured",
        help="Folder with AIMET encodings, <component>.json; a component without a file is measured.",
    ),
    option(
        "--prompts",
        group=QUANTIZATION,
        type=click.Path(path_type=Path),
        metavar="FILE",
        default_text="the model's",
        help="Prompts to calibrate with, UTF-8, one a line. Other prompts are another build.",
    ),
)
_VERIFY = option(
    "--verify/--no-verify",
    group=BUILD,
    default=True,
    help="Verify QDQ graphs against the float model and context binaries against QDQ graphs. Images record it if not.",
)
_DRY_RUN = option(
    "--dry-run",
    group=BUILD,
    is_flag=True,
    help="Show the stages, which are cached, and what each takes: time, memory, disk; build nothing.",
)


_YES = option("--yes", "-y", group=BUILD, is_flag=True, help="Ask nothing before a long build.")


def model_options(command: Command) -> Command:
    """What names a model, its size, its checkpoint and the cache, handed on as ``build_request``."""
    return _with_building(command, _MODEL_OPTIONS)


def float_options(command: Command) -> Command:
    """The same and ``--dry-run``, for a command that makes float graphs."""
    return _with_building(command, (_DRY_RUN, _YES, *_MODEL_OPTIONS))


def quantize_options(command: Command) -> Command:
    """The same and how the model is quantized, for a command that makes QDQ graphs."""
    return _with_building(command, (*_QUANTIZE_OPTIONS, _DRY_RUN, _YES, *_MODEL_OPTIONS))


def build_options(command: Command) -> Command:
    """All of what is built: the model, how it is quantized and verified, ``--dry-run``."""
    return _with_building(command, (*_QUANTIZE_OPTIONS, _VERIFY, _DRY_RUN, _YES, *_MODEL_OPTIONS))


def sizes_build_options(command: Command) -> Command:
    """The same, with a ``--size`` that can be repeated."""
    options = (_SIZES, *(each for each in _MODEL_OPTIONS if each is not _SIZE_OPTION))
    return _with_building(command, (*_QUANTIZE_OPTIONS, _VERIFY, _DRY_RUN, _YES, *options))


def _with_building(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    @functools.wraps(command)
    def with_building(
        model: str | None,
        size: str | tuple[str, ...] | None,
        checkpoint: str | None,
        vae: str | None,
        text_encoder: str | None,
        prediction: Literal["epsilon", "v"] | None,
        lora: tuple[str, ...],
        embedding: tuple[str, ...],
        tokenizer: Path | None,
        clip_skip: int | None,
        prompt_chunks: int | None,
        cache: Path | None,
        **rest: Any,
    ) -> Any:
        if rest["quiet"]:
            # huggingface_hub reads it when it is first imported, which a hub id does.
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        how = {
            name: rest.pop(name)
            for name in ("dry_run", "prompts", "rounding", "encodings", "verify", "yes")
            if name in rest
        }
        loras, embeddings = tuple(map(parse_lora, lora)), tuple(map(parse_embedding, embedding))
        sources = Sources(
            checkpoint,
            vae,
            loras,
            embeddings,
            tokenizer,
            text_encoder=text_encoder,
            prediction=prediction,
            clip_skip=clip_skip,
        )
        if prompt_chunks is not None:
            refuse_bad_chunks(prompt_chunks)
        typed = (size,) if isinstance(size, str) else size or ()
        sizes = tuple(dict.fromkeys(map(_parse_size, typed)))
        for each in sizes:
            refuse_bad_size(*each)
        is_demo = model is None and checkpoint is None
        name = DEMO_MODEL if is_demo else model
        config = None if name is None else load_model(name)
        pixels = sizes[0] if sizes else None
        request = BuildRequest(config, sources, cache, pixels, sizes[1:], is_demo, **how, prompt_chunks=prompt_chunks)
        return command(build_request=request, **rest)

    wrapped: Command = with_building
    for each in reversed(options):
        wrapped = each(wrapped)
    return wrapped
