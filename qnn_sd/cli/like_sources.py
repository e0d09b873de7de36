"""The files that an image was made with, found again by their hashes: no image says where they stood."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qnn_sd.artifact import sha256_of_file
from qnn_sd.errors import CheckpointError, QnnSdError, SettingError
from qnn_sd.export.checkpoint import (
    CheckpointIdentity,
    located_embedding,
    located_lora,
    parse_embedding,
    parse_lora,
)
from qnn_sd.image_metadata import ImageDocument, ImageEmbedding, ImageLora, ImageSource
from qnn_sd.pipeline.given_encodings import encodings_files

# Digits of a hash that people compare.
_SHOWN_DIGITS = 12


class LikeSources:
    """Checkpoint, VAE, LoRAs, embeddings and calibration files of an image.

    Args:
        image: whose they are.
        made: what it says.
    """

    def __init__(self, image: Path, made: ImageDocument) -> None:
        self._image, self._made = image, made
        # Where a file of the same name is taken if its hash is the same.
        self._folders = tuple(dict.fromkeys((Path.cwd(), image.absolute().parent)))

    def options(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        """The options that name files, as they would be typed: those that were, and what was found beside them.

        Args:
            typed: values of all options.

        Raises:
            CheckpointError: a checkpoint, VAE, LoRA or embedding of the image isn't there.
        """
        made, options = self._made, {}
        given = (("checkpoint", made.checkpoint), ("vae", made.vae), ("text_encoder", made.text_encoder))
        for name, source in given:
            if source is not None and typed[name] is None and source.kind in ("hub", "file", "folder"):
                options[name] = self._found_source(name, source)
        return {
            **options,
            "lora": self._loras(typed["lora"]),
            "embedding": self._embeddings(typed["embedding"]),
        }

    def _found_source(self, option: str, source: ImageSource) -> str:
        if source.kind == "hub":
            return source.name
        for folder in self._folders:
            path = folder / source.name
            if path.is_dir() if source.kind == "folder" else self._is(path, source.sha256):
                return str(path)
        raise self._missing(option, source.name, source.sha256)

    @staticmethod
    def _is(path: Path, digest: str) -> bool:
        return path.is_file() and sha256_of_file(path) == digest

    def _missing(self, option: str, name: str, digest: str) -> CheckpointError:
        kinds = {"checkpoint": "checkpoint", "vae": "VAE", "text_encoder": "text encoder", "lora": "LoRA"}
        kinds["embedding"] = "embedding"
        typed = f"--{option.replace('_', '-')} {shlex.quote(f'PATH/{name}')}"
        command = f"qnn-sd run --like {shlex.quote(str(self._image))} {typed}"
        return CheckpointError(
            f"{self._image} was made with the {kinds[option]} {name}, which isn't given",
            why=f"Its SHA-256 begins {digest[:_SHOWN_DIGITS]}. Neither here nor beside the image is a file like it.",
            hint=command,
        )

    def _loras(self, typed: Sequence[str]) -> tuple[str, ...]:
        """In the image's order, with its scales where none was typed; then what else was typed."""
        by_hash = {_lora_hash(parse_lora(text)[0]): text for text in typed}
        found = []
        for lora in self._made.loras:
            text = by_hash.get(_hash_of(lora.name, lora))
            if text is None:
                found.append(f"{self._beside('lora', lora.name, lora)}:{lora.scale!r}")
            elif parse_lora(text)[0] == text or Path(text).expanduser().exists():
                found.append(f"{text}:{lora.scale!r}")
            else:
                found.append(text)
        had = {_hash_of(each.name, each) for each in self._made.loras}
        return (*found, *(text for digest, text in by_hash.items() if digest not in had))

    def _embeddings(self, typed: Sequence[str]) -> tuple[str, ...]:
        by_hash = {_embedding_hash(parse_embedding(text)[1]): text for text in typed}
        found = []
        for each in self._made.embeddings:
            text = by_hash.get(_hash_of(each.file, each)) or str(self._beside("embedding", each.file, each))
            # One that was typed with a name keeps it; a name that an option can't spell is the file's own.
            is_plain = parse_embedding(text)[0] is None and each.name.isprintable() and "=" not in each.name
            found.append(f"{each.name}={text}" if is_plain else text)
        had = {_hash_of(each.file, each) for each in self._made.embeddings}
        return (*found, *(text for digest, text in by_hash.items() if digest not in had))

    def _beside(self, option: str, name: str, wanted: ImageLora | ImageEmbedding) -> str | Path:
        if wanted.kind == "hub":
            return name
        digest = _lora_hash if option == "lora" else _embedding_hash
        for folder in self._folders:
            path = folder / name
            if path.exists() and path.is_dir() == (wanted.kind == "folder") and digest(path) == wanted.sha256:
                return path
        raise self._missing(option, name, wanted.sha256)

    def check_calibration_files(self, encodings: Path | None, prompts: Path | None) -> None:
        """Holds given encodings and prompts against those that the image's graphs were quantized with.

        Raises:
            SettingError: they are missing, or others.
        """
        quantization = self._made.quantization
        if quantization is None:
            return
        files = {} if encodings is None else encodings_files(encodings, quantization.encodings)
        for component, digest in quantization.encodings.items():
            path = None if encodings is None else files.get(component, encodings / f"{component}.json")
            if path is None or not self._is(path, digest):
                raise self._other_calibration("encodings", path, f"{component}.json", digest)
        if quantization.prompts is not None and (prompts is None or not self._is(prompts, quantization.prompts)):
            raise self._other_calibration("prompts", prompts, "prompts", quantization.prompts)

    def _other_calibration(self, option: str, path: Path | None, name: str, digest: str) -> SettingError:
        said = f"SHA-256 begins {digest[:_SHOWN_DIGITS]}"
        found = "none is given" if path is None else f"{path} is missing or another one"
        place = {"encodings": "FOLDER", "prompts": "FILE"}[option]
        return SettingError(
            f"{self._image} was made by graphs that were quantized with {name} ({said}), and {found}",
            hint=f"qnn-sd run --like {shlex.quote(str(self._image))} --{option} {place}",
        )

    def check_identity(self, found: CheckpointIdentity, own_vae: bool) -> None:
        """Holds an open checkpoint against the image's.

        Args:
            found: what was opened.
            own_vae: whether a VAE was typed for an image that had the checkpoint's.

        Raises:
            CheckpointError: it is another checkpoint, or another VAE.
        """
        made = self._made
        if found.checkpoint.sha256 != made.checkpoint.sha256:
            raise self._another("checkpoint", found.checkpoint, made.checkpoint)
        if found.vae.sha256 != made.vae.sha256 and not own_vae:
            raise self._another("VAE", found.vae, made.vae)
        theirs, ours = made.text_encoder, found.text_encoder
        if theirs is not None and ours is not None and theirs.sha256 != ours.sha256:
            raise self._another("text encoder", ours, theirs)

    def _another(self, what: str, found: ImageSource, wanted: ImageSource) -> QnnSdError:
        prompt = shlex.quote(self._made.prompt)
        return CheckpointError(
            f"{found.name} is another {what} than that of {self._image}",
            why=f"The image was made with {wanted.name}, SHA-256 {wanted.sha256[:_SHOWN_DIGITS]}; this one has "
            f"{found.sha256[:_SHOWN_DIGITS]}.",
            hint=f"Give the image's {what}. For an image with this one, leave --like out: "
            f"qnn-sd run {prompt if prompt.isprintable() else 'PROMPT'} --seed {self._made.seed}",
        )


def _hash_of(name: str, each: ImageLora | ImageEmbedding) -> str:
    """What tells a LoRA or an embedding: its hash, or its hub id."""
    return name if each.kind == "hub" else each.sha256


def _lora_hash(given: str | Path) -> str:
    return given if isinstance(given, str) else located_lora(given).sha256


def _embedding_hash(given: str | Path) -> str:
    return given if isinstance(given, str) else sha256_of_file(located_embedding(given))
