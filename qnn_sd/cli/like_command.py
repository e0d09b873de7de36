"""``--like IMAGE``: what made an image becomes the options that weren't typed, so that all are checked alike."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from qnn_sd.cli.command_line import is_typed, options_by_name, with_dashes
from qnn_sd.cli.guidance_interval import IntervalType, interval_text
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.like import Like
from qnn_sd.cli.recalled_image import RecalledImage, recall
from qnn_sd.errors import OutputError
from qnn_sd.in_words import shown

_META = "qnn_sd.like"


class LikeCommand(HelpCommand):
    """A command whose options have an image's values where they weren't typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the image that ``--like`` names before the other options get their defaults."""
        args = with_dashes(args, options_by_name(self, ctx))
        typed: Mapping[str, Any] = {}
        # What can't be parsed is told below.
        with suppress(click.UsageError):
            typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if ctx.resilient_parsing or typed.get("help") or not isinstance(typed.get("like"), str):
            return super().parse_args(ctx, args)
        image = recall(Path(typed["like"]).expanduser())
        ctx.default_map = {**image.options, **_target_options(image, typed), **_output(image.path, typed)}
        rest = super().parse_args(ctx, args)
        _refuse_overwriting(image.path, ctx.params["output"])
        like = ctx.meta[_META] = Like(image, _overridden(self, ctx, image))
        ctx.params.update(like.files(ctx.params))
        return rest


def like_of(context: click.Context) -> Like | None:
    """What ``--like`` named; None without it."""
    return context.meta.get(_META)


def _target_options(image: RecalledImage, typed: Mapping[str, Any]) -> dict[str, str]:
    """Where the image was made, as far as nothing else was typed: a phone or cloud device is only used by its name."""
    target = typed.get("target")
    if target is None and typed.get("device") is None:
        if "soc" in typed or image.target in ("phone", "hub"):
            target = "emulator"
        else:
            target = "cpu" if "precision" in typed else image.target
    options = {} if target is None else {"target": target}
    if target == "emulator" and image.soc is not None:
        options["soc"] = image.soc
    if target == "cpu" and image.is_quantized:
        options["precision"] = "w8a16"
    return options


def _output(image: Path, typed: Mapping[str, Any]) -> dict[str, str]:
    """The default output, unless that is the image itself."""
    if "output" not in typed and image.exists() and Path("out.png").exists() and image.samefile("out.png"):
        return {"output": "out-again.png"}
    return {}


def _refuse_overwriting(image: Path, output: Path) -> None:
    if output.exists() and output.samefile(image):
        raise OutputError(
            f"Can't write {output}", why="It is the image that --like names.", hint="Give another name with -o."
        )


def _overridden(command: click.Command, ctx: click.Context, image: RecalledImage) -> list[str]:
    """A line for each option that was typed with another value than the image's."""
    lines = []
    for parameter in command.params:
        name = parameter.name or ""
        if name not in image.options or not is_typed(ctx, name):
            continue
        theirs, typed = image.options[name], ctx.params[name]
        with suppress(click.UsageError):
            if parameter.type_cast_value(ctx, theirs) == typed:
                continue
        label = "the prompt" if isinstance(parameter, click.Argument) else _long_name(parameter)
        if isinstance(typed, bool):
            label = (parameter.opts if typed else parameter.secondary_opts)[0]
            lines.append(f"{label}, which the image wasn't made with")
        else:
            said = interval_text(typed) if isinstance(parameter.type, IntervalType) else shown(typed, 40)
            lines.append(f"{label} {said!r} instead of the image's {shown(theirs, 40)!r}")
    return lines


def _long_name(option: click.Parameter) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])
