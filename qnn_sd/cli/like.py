"""An image that is to be made again: what is typed otherwise, what differs, and whether the pixels are the same."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.image_facts import versions_here
from qnn_sd.cli.like_sources import LikeSources
from qnn_sd.cli.recalled_image import RecalledImage
from qnn_sd.cli.target_options import TargetOptions
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import CheckpointError
from qnn_sd.generate.png import read_pixels
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.in_words import shown
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline


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
            CheckpointError: a file isn't there, or the image was made with a bundle that isn't named.
        """
        if params.get("bundle") is not None:
            return {}
        if self._made is not None and self._made.checkpoint.kind in ("published", "bundle"):
            origin, fetch = self._made.checkpoint, " (qnn-sd fetch makes it)"
            raise CheckpointError(
                f"{self.image.path} was made with the bundle of {shown(origin.name)}, which isn't given",
                why=f"Its hash begins {origin.sha256[:12]}.",
                hint=f"Add --bundle FOLDER{fetch if origin.kind == 'published' else ''}: "
                f"qnn-sd run --like {shlex.quote(str(self.image.path))} --bundle FOLDER",
            )
        if self._made is not None:
            files = self._sources(self._made).options(params)
            for option in ("checkpoint", "vae", "text_encoder", "lora", "embedding"):
                self._note_typed_files(option, params[option])
            return files
        model = self.image.model_hash
        typed = is_typed(click.get_current_context(), "model")
        if model is not None and params["checkpoint"] is None and not typed:
            name, digest = map(shown, model)
            raise CheckpointError(
                f"{self.image.path} was made with the checkpoint {name or 'of the hash'} {digest}".rstrip()
                + ", which isn't given",
                hint=f"Add --checkpoint PATH (or --model NAME): qnn-sd run --like {shlex.quote(str(self.image.path))} "
                "--checkpoint PATH",
            )
        return {}

    def _note_typed_files(self, option: str, value: Any) -> None:
        """Notes what was typed beside an image that had none."""
        had = getattr(self._made, {"lora": "loras", "embedding": "embeddings"}.get(option, option))
        if option == "vae" and value is not None and had.kind == "checkpoint":
            self.typed.append("--vae as typed; the image's is the checkpoint's own")
        elif option == "text_encoder" and value is not None and had is None:
            self.typed.append("--text-encoder as typed; the image's is the checkpoint's own")
        elif option in ("lora", "embedding") and len(value) > len(had):
            self.typed.append(f"--{option} as typed; the image had {len(had)}")

    def announce(
        self, console: Console, where: TargetOptions, profile: DeviceProfile | None, build_request: BuildRequest
    ) -> None:
        """Says, before any work, what is taken from the image, what isn't, and what can't be the same.

        Raises:
            SettingError: files that its graphs were quantized with are missing.
        """
        self._say_settings(console)
        quantized = where.target != "cpu" or where.precision == "w8a16"
        self.differing += self.image.remarks
        self.differing += self._other_place(where.target, None if profile is None else profile.soc, quantized)
        if self._made is not None:
            self.differing += _other_versions(self._made.versions, versions_here())
            if quantized:
                self._sources(self._made).check_calibration_files(build_request.encodings, build_request.prompts)
                self.differing += _other_quantization(self._made, build_request)
        for line in self.differing:
            console.warn(line)

    def announce_bundle(self, console: Console, target: str, bundle: OpenBundle) -> None:
        """The same where a bundle was named, and nothing is built."""
        self._say_settings(console)
        self.differing += self.image.remarks
        self.differing += self._other_place(
            target, bundle.info.soc.name if bundle.info.soc else None, bundle.is_quantized
        )
        self.differing += self.image.networks.remarks_on_bundle(bundle.info.added_tokens)
        if self._made is not None:
            self.differing += _other_versions(self._made.versions, versions_here())
            if self._made.build != bundle.key:
                self.differing.append(
                    f"the image was made by another bundle ({self._made.build[:12]}), this one is {bundle.key[:12]}"
                )
        for line in self.differing:
            console.warn(line)

    def _say_settings(self, console: Console) -> None:
        options = self.image.options
        known = [
            f"{name.replace('_', ' ')} {shown(options[name])}"
            for name in ("seed", "steps", "scheduler", "guidance", "guidance_interval", "size")
            if name in options
        ]
        if options.get("clip_skip", "1") != "1":
            known.append(f"clip skip {shown(options['clip_skip'])}")
        console.say(f"like {self.image.path}: {', '.join(known)}")
        for line in self.typed:
            console.say(f"  {line}")

    def _other_place(self, target: str, soc: str | None, quantized: bool) -> Iterator[str]:
        image = self.image
        if image.target is None:
            return
        target = target.partition(":")[0]
        if target != image.target:
            roads = {
                "phone": "; --device SERIAL or --target phone takes a phone",
                "hub": "; --target hub:DEVICE takes one",
            }
            more = roads.get(image.target, "")
            yield f"the image was made on the target {image.target}, this one is made on the target {target}{more}"
        if soc is not None and image.soc is not None and soc != image.soc:
            yield f"the image was made by binaries for {shown(image.soc)}, this one by those for {soc}"
        if quantized != image.is_quantized:
            kinds = {True: "quantized", False: "float"}
            yield f"the image was made by {kinds[image.is_quantized]} graphs, this one by {kinds[quantized]} ones"

    def check_checkpoint(self, console: Console, pipeline: BuildPipeline) -> None:
        """Holds the open checkpoint and what was put into it against the image's.

        Raises:
            CheckpointError: it is another one.
        """
        lines = list(self._other_checkpoint(pipeline))
        for line in lines:
            console.warn(line)
        self.differing += lines

    def _other_checkpoint(self, pipeline: BuildPipeline) -> Iterator[str]:
        found = pipeline.identity
        if self._made is not None:
            own_vae = any(line.startswith("--vae") for line in self.typed)
            self._sources(self._made).check_identity(found, own_vae)
            if pipeline.tokenizer_sha256 != self._made.tokenizer:
                yield "the tokenizer's files differ from the image's"
        elif self.image.model_hash is not None:
            _name, digest = self.image.model_hash
            if not found.checkpoint.sha256.startswith(digest.lower()):
                yield f"the image's checkpoint has the hash {shown(digest)}, this one {found.checkpoint.sha256[:10]}"
        yield from self.image.networks.remarks(found.loras, pipeline.checkpoint.added_tokens, found.vae)

    def check_build(self, console: Console, key: str) -> None:
        """Says that graphs differ where nothing that was said before explains it."""
        if self._made is not None and key != self._made.build and not self.typed and not self.differing:
            # An older image doesn't say what a config beside the checkpoint's file said.
            unsaid = "" if self._made.prediction is not None else " another prediction of the UNet (--prediction),"
            self.differing.append(
                f"the graphs were built otherwise ({key[:12]} instead of {self._made.build[:12]}):{unsaid} "
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
