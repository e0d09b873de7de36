"""``--like IMAGE``: what made an image becomes the options that weren't typed, so that all are checked alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.image_facts import versions_here
from qnn_sd.cli.like_sources import LikeSources
from qnn_sd.cli.recalled_image import RecalledImage, recall, shown
from qnn_sd.cli.target_options import TargetOptions
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError, OutputError
from qnn_sd.export.checkpoint.identity import CheckpointIdentity
from qnn_sd.generate.png import read_pixels
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.metrics import psnr_db

_META = "qnn_sd.like"


class LikeCommand(HelpCommand):
    """A command whose options have an image's values where they weren't typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the image that ``--like`` names before the other options get their defaults."""
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
    """Where the image was made, as far as nothing else was typed: a phone is only used by its name."""
    target = typed.get("target")
    if target is None and typed.get("device") is None:
        if "soc" in typed or image.target == "phone":
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
        if name not in image.options or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        theirs, typed = image.options[name], ctx.params[name]
        with suppress(click.UsageError):
            if parameter.type_cast_value(ctx, theirs) == typed:
                continue
        label = "the prompt" if isinstance(parameter, click.Argument) else max(parameter.opts, key=len)
        if isinstance(typed, bool):
            label = (parameter.opts if typed else parameter.secondary_opts)[0]
            lines.append(f"{label}, which the image wasn't made with")
        else:
            lines.append(f"{label} {shown(typed, 40)!r} instead of the image's {shown(theirs, 40)!r}")
    return lines


@dataclass
class Like:
    """An image that is to be made again.

    Attributes:
        image: what it says.
        typed: a line for each option that was typed otherwise.
        differing: lines about what differs though nothing was typed.
    """

    image: RecalledImage
    typed: list[str]
    differing: list[str] = field(default_factory=list)

    @property
    def _made(self) -> ImageDocument | None:
        return self.image.document

    def _sources(self, made: ImageDocument) -> LikeSources:
        return LikeSources(self.image.path, made)

    def files(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The options that name files, with what was found by name and hash.

        Raises:
            CheckpointError: a file isn't there.
        """
        if self._made is not None:
            files = self._sources(self._made).options(params)
            for option in ("checkpoint", "vae", "lora", "embedding"):
                self._note_typed_files(option, params[option])
            return files
        model = self.image.model_hash
        typed = click.get_current_context().get_parameter_source("model") is ParameterSource.COMMANDLINE
        if model is not None and params["checkpoint"] is None and not typed:
            name, digest = map(shown, model)
            raise CheckpointError(
                f"{self.image.path} was made with the checkpoint {name or 'of the hash'} {digest}".rstrip()
                + ", which isn't given",
                hint=f"Add --checkpoint PATH (or --model NAME): qnn-sd run --like {self.image.path} --checkpoint PATH",
            )
        return {}

    def _note_typed_files(self, option: str, value: Any) -> None:
        """Notes what was typed beside an image that had none."""
        had = getattr(self._made, {"lora": "loras", "embedding": "embeddings"}.get(option, option))
        if option == "vae" and value is not None and had.kind == "checkpoint":
            self.typed.append("--vae as typed; the image's is the checkpoint's own")
        elif option in ("lora", "embedding") and len(value) > len(had):
            self.typed.append(f"--{option} as typed; the image had {len(had)}")

    def announce(
        self, console: Console, where: TargetOptions, profile: DeviceProfile | None, build_request: BuildRequest
    ) -> None:
        """Says, before any work, what is taken from the image, what isn't, and what can't be the same.

        Raises:
            SettingError: files that its graphs were quantized with are missing.
        """
        options = self.image.options
        known = [
            f"{name} {shown(options[name])}"
            for name in ("seed", "steps", "scheduler", "guidance", "size")
            if name in options
        ]
        console.say(f"like {self.image.path}: {', '.join(known)}")
        for line in self.typed:
            console.say(f"  {line}")
        quantized = where.target != "cpu" or where.precision == "w8a16"
        self.differing += self.image.remarks
        self.differing += self._other_place(where.target, profile, quantized)
        if self._made is not None:
            self.differing += _other_versions(self._made.versions, versions_here())
            if quantized:
                self._sources(self._made).check_calibration_files(build_request.encodings, build_request.prompts)
                self.differing += _other_quantization(self._made, build_request)
        for line in self.differing:
            console.warn(line)

    def _other_place(self, target: str, profile: DeviceProfile | None, quantized: bool) -> Iterator[str]:
        image = self.image
        if image.target is None:
            return
        if target != image.target:
            more = "; --device SERIAL or --target phone takes a phone" if image.target == "phone" else ""
            yield f"the image was made on the target {image.target}, this one is made on the target {target}{more}"
        if profile is not None and image.soc is not None and profile.soc != image.soc:
            yield f"the image was made by binaries for {shown(image.soc)}, this one by those for {profile.soc}"
        if quantized != image.is_quantized:
            kinds = {True: "quantized", False: "float"}
            yield f"the image was made by {kinds[image.is_quantized]} graphs, this one by {kinds[quantized]} ones"

    def check_checkpoint(self, console: Console, found: CheckpointIdentity) -> None:
        """Holds the open checkpoint against the image's.

        Raises:
            CheckpointError: it is another one.
        """
        if self._made is None:
            digest = (self.image.model_hash or ("", ""))[1]
            lines = []
            if digest and not found.checkpoint.sha256.startswith(digest.lower()):
                lines = [
                    f"the image's checkpoint has the hash {shown(digest)}, this one {found.checkpoint.sha256[:10]}"
                ]
        else:
            own_vae = any(line.startswith("--vae") for line in self.typed)
            lines = self._sources(self._made).check_identity(found, own_vae)
        for line in lines:
            console.warn(line)
        self.differing += lines

    def check_build(self, console: Console, key: str) -> None:
        """Says that graphs differ where nothing that was said before explains it."""
        if self._made is not None and key != self._made.build and not self.typed and not self.differing:
            self.differing.append(
                f"the graphs were built otherwise ({key[:12]} instead of {self._made.build[:12]}): "
                "another model config, or other code of qnn-sd"
            )
            console.warn(self.differing[-1])

    def compare(self, console: Console, path: Path) -> None:
        """Says whether an image has the same pixels."""
        theirs, ours = read_pixels(self.image.path), read_pixels(path)
        if theirs is None or ours is None or theirs.shape != ours.shape:
            return
        if np.array_equal(theirs, ours):
            console.say(f"{path} has the same pixels as {self.image.path}")
            return
        line = f"{path} has other pixels than {self.image.path}: {psnr_db(theirs, ours):.1f} dB PSNR"
        if self.typed or self.differing:
            console.say(line)
        else:
            console.warn(f"{line}. Nothing known differs: does another processor compute here?")


def _other_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[str]:
    for name, number in ours.items():
        if theirs.get(name) != number:
            yield f"the image was made with {name} {shown(theirs.get(name, 'of an unknown version'))}, here is {number}"


def _other_quantization(made: ImageDocument, build_request: BuildRequest) -> Iterator[str]:
    if made.quantization is None:
        return
    if build_request.encodings is not None and not made.quantization.encodings:
        yield "encodings are given, the image's were measured"
    if build_request.prompts is not None and made.quantization.prompts is None:
        yield "prompts to calibrate with are given, the image's were the model's own"
