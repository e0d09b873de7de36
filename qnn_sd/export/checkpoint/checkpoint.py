"""An open checkpoint, with everything that the user puts into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qnn_sd.config import Architecture
from qnn_sd.errors import CheckpointError, SettingError
from qnn_sd.export.checkpoint import clip_tokenizer, fit
from qnn_sd.export.checkpoint.architecture import refuse_other_tasks
from qnn_sd.export.checkpoint.clip_skip import answering_from, clip_skip_of
from qnn_sd.export.checkpoint.clip_tokenizer import ClipTokenizerSearch
from qnn_sd.export.checkpoint.delta import Delta
from qnn_sd.export.checkpoint.embeddings import Embedding
from qnn_sd.export.checkpoint.identity import CheckpointIdentity, identify
from qnn_sd.export.checkpoint.json_file import read_json
from qnn_sd.export.checkpoint.lora import Lora
from qnn_sd.export.checkpoint.misfit import Base
from qnn_sd.export.checkpoint.not_weights import refuse_no_json
from qnn_sd.export.checkpoint.parts import Layout, Part
from qnn_sd.export.checkpoint.sources import Sources
from qnn_sd.export.checkpoint.weights import Weights
from qnn_sd.tokenizer_files import ALL_FILES, END, Vocabulary, read_vocabulary

# Rows of a text encoder that its tokenizer may leave unused, of all: tables are padded, and embeddings merged in.
_MOST_UNUSED = 0.1
_TOKEN_EMBEDDING = "embeddings.token_embedding.weight"


class Checkpoint:
    """What the exporter and the generation loop need of a checkpoint.

    Args:
        layout: the networks as they lie on disk, all of ``PARTS``.
        sources: what all is opened from; its checkpoint is set.
        base: what messages call it.
        search: looks for CLIP's tokenizer, if neither the layout nor the user has one.
        loras: what is merged into the weights, in this order.
        embeddings: textual inversions.
        scheduler: its scheduler config, with what its files say besides; None for the layout's.

    Raises:
        CheckpointError: networks or embeddings that don't fit each other.
        UnsupportedModelError: a model for something else than text to image.
        SettingError: a layer that the text encoder doesn't have.
    """

    def __init__(
        self,
        layout: Layout,
        sources: Sources,
        base: Base,
        search: ClipTokenizerSearch,
        loras: Sequence[Lora] = (),
        embeddings: Sequence[Embedding] = (),
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        self._layout, self._sources, self._loras, self._embeddings = layout, sources, loras, embeddings
        self._base, self._search = base, search
        self._scheduler = layout.scheduler if scheduler is None else scheduler
        encoder = answering_from(layout.parts["text_encoder"], sources.clip_skip)
        self._parts = {**layout.parts, "text_encoder": encoder}
        refuse_other_tasks(layout.origin, self.config("unet"), self.config("vae"))

    def config(self, part: str) -> Mapping[str, Any]:
        """A part's config, as diffusers' ``config.json``.

        Args:
            part: one of ``PARTS``.
        """
        config = self._parts[part].config
        if part != "text_encoder" or not self._embeddings:
            return config
        return {**config, "vocab_size": self._words + sum(len(found.vectors) for found in self._embeddings)}

    def weights(self, part: str) -> Weights:
        """A part's tensors, LoRAs merged and embeddings appended."""
        deltas: dict[str, list[Delta]] = {}
        for lora in self._loras:
            for name, found in lora.deltas.get(part, {}).items():
                deltas.setdefault(name, []).extend(found)
        rows = {}
        if part == "text_encoder" and self._embeddings:
            rows[_TOKEN_EMBEDDING] = np.concatenate([found.vectors for found in self._embeddings])
        return Weights(self._parts[part], deltas, rows)

    def parameters(self, part: str, ignored: tuple[str, ...] = ()) -> int:
        """Parameters of a part, by the files' headers.

        Args:
            part: one of ``PARTS``.
            ignored: prefixes of tensors that aren't counted.
        """
        tensors = self._parts[part].tensors
        return sum(math.prod(each.shape) for name, each in tensors.items() if not name.startswith(ignored))

    def files(self, part: str) -> dict[str, Path]:
        """The files that determine a part, by names that don't depend on where they stand."""
        files = dict(self._layout.parts[part].files)
        for number, lora in enumerate(self._loras):
            if part in lora.deltas:
                alone = len(lora.files.named) == 1
                files |= {
                    f"lora/{number}{'' if alone else f'/{name}'}": path for name, path in lora.files.named.items()
                }
        if part == "text_encoder":
            files |= {f"embedding/{number}": found.path for number, found in enumerate(self._embeddings)}
        return files

    def settings(self, part: str) -> dict[str, Any]:
        """What else determines a part; plain JSON values."""
        scales = {f"lora/{number}": lora.scale for number, lora in enumerate(self._loras) if part in lora.deltas}
        return {"config": self.config(part), "scales": scales}

    def identity(self) -> CheckpointIdentity:
        """What it is, for an image's metadata."""
        return identify(self._layout, self._loras, self._embeddings, self._sources)

    @property
    def origin(self) -> Path:
        """Its file or folder."""
        return self._layout.origin

    @cached_property
    def architecture(self) -> Architecture:
        """What decides which model config suits it."""
        return fit.architecture_of(self._layout.parts)

    @property
    def architecture_told_by(self) -> str:
        """What the architecture was read from, in words."""
        return fit.told_by(self._layout)

    @property
    def own_size(self) -> tuple[int, int] | None:
        """Width and height in pixels of the images that it was trained on, if its config says it."""
        return fit.own_size(self._layout)

    @property
    def scheduler(self) -> Mapping[str, Any]:
        """The checkpoint's ``scheduler_config.json``, with what its files or the user say of its prediction.

        Raises:
            CheckpointError: it has none.
        """
        if not self._scheduler:
            raise CheckpointError(
                f"{self._layout.origin / 'scheduler' / 'scheduler_config.json'} is missing",
                hint="Is the checkpoint complete?",
            )
        return self._scheduler

    @property
    def is_lcm(self) -> bool:
        """Whether it is a latent consistency model, which wants its own scheduler and few steps."""
        return self._layout.scheduler.get("_class_name") == "LCMScheduler" or self.embeds_guidance

    @property
    def embeds_guidance(self) -> bool:
        """Whether the UNet takes the guidance scale as an input."""
        return self.config("unet").get("time_cond_proj_dim") is not None

    @cached_property
    def tokenizer(self) -> Vocabulary:
        """The tokenizer's tokens and merges.

        Raises:
            CheckpointError: there is none, or it isn't this text encoder's.
            OutputError: CLIP's was unpacked, and the cache can't be written.
        """
        folder = self._tokenizer_folder
        if self._sources.tokenizer is not None:
            self._refuse_no_tokenizer(self._sources.tokenizer)
        for path in [] if folder is None else [folder / name for name in ALL_FILES]:
            refuse_no_json(path)  # a pointer or a page, whatever its text would be
        vocabulary = self._clip_tokenizer() if folder is None else read_vocabulary(folder)
        self._refuse_other_vocabulary(vocabulary)
        return vocabulary

    @property
    def _tokenizer_folder(self) -> Path | None:
        return self._sources.tokenizer or self._layout.tokenizer

    def _refuse_no_tokenizer(self, given: Path) -> None:
        """Raises where ``--tokenizer`` names no folder, or the one around a tokenizer's."""
        inner = given / "tokenizer"
        if inner.is_dir() and not any((given / name).exists() for name in ALL_FILES):
            raise CheckpointError(
                f"{given} is no tokenizer's folder", why=f"It holds {inner}.", hint=f"Type --tokenizer {inner}."
            )
        if not given.is_dir():
            raise CheckpointError(
                f"--tokenizer {given} is no folder",
                why="It takes a folder with vocab.json and merges.txt.",
                hint=f"{self._without_tokenizer}, or give that folder.",
            )

    @property
    def _without_tokenizer(self) -> str:
        if self._layout.tokenizer is not None:
            return "Leave --tokenizer out: the checkpoint brings its own"
        return "Leave --tokenizer out: CLIP's is looked for then"

    def _clip_tokenizer(self) -> Vocabulary:
        if self._words < clip_tokenizer.TOKENS:
            raise CheckpointError(
                f"{self.origin} brings no tokenizer",
                why=f"CLIP's isn't its: that has {clip_tokenizer.TOKENS:,} tokens, "
                f"the text encoder knows {self._words:,}.",
                hint="Give --tokenizer FOLDER with the model's own vocab.json and merges.txt.",
            )
        return self._search.find(self.origin)

    def _refuse_other_vocabulary(self, vocabulary: Vocabulary) -> None:
        tokens = len(vocabulary.tokens)
        if not self._words * (1 - _MOST_UNUSED) <= tokens <= self._words:
            # One that was given may be left out, if there is another.
            another = self._layout.tokenizer is not None or self._words >= clip_tokenizer.TOKENS
            superfluous = self._sources.tokenizer is not None and another
            cure = self._without_tokenizer if superfluous else "Give --tokenizer FOLDER with the model's own"
            raise CheckpointError(
                f"The tokenizer in {vocabulary.origin} isn't this text encoder's",
                why=f"It has {tokens:,} tokens, the text encoder knows {self._words:,}.",
                hint=self._base.hint(f"{cure}. It must be the one that the text encoder was trained with."),
            )

    @property
    def padding_token(self) -> str:
        """The token that pads prompts: the one that the tokenizer's folder names, else CLIP's."""
        folder = self._tokenizer_folder
        if folder is None:
            # Another model's folder may carry CLIP's tokenizer, but what it pads with is its own.
            return END
        # transformers 5 writes the latter alone.
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            path = folder / name
            if path.is_file():
                padding = read_json(path).get("pad_token")
                # Old files spell a special token as an object.
                padding = padding.get("content") if isinstance(padding, dict) else padding
                return padding if isinstance(padding, str) else END
        return END

    @property
    def clip_skip(self) -> int:
        """Which of the text encoder's layers answers, from the last one in its file, which is 1."""
        return clip_skip_of(self._layout.parts["text_encoder"], self._parts["text_encoder"])

    @property
    def added_tokens(self) -> dict[str, list[int]]:
        """The rows of the token embedding that each added name stands for.

        As in diffusers, ``name_1`` is the second vector of ``name`` alone.

        Raises:
            SettingError: two embeddings share a name.
        """
        tokens: dict[str, list[int]] = {}
        # Prompts call them in any case.
        known: set[str] = set()
        row = self._words
        for found in self._embeddings:
            rows = list(range(row, row + len(found.vectors)))
            row += len(rows)
            # One that a LoRA brings can't be renamed.
            if found.given is None and found.name.lower() in known:
                continue
            named = {found.name: rows, **{f"{found.name}_{n}": [rows[n]] for n in range(1, len(rows))}}
            twice = [name for name in named if name.lower() in known]
            if twice:
                raise SettingError(
                    f"Two embeddings are called {min(twice)!r}",
                    why="Names count in any case.",
                    hint=f"Rename one: --embedding NAME={found.path}.",
                )
            tokens |= named
            known |= {name.lower() for name in named}
        return tokens

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """What prompts call the textual inversions that were given; those that LoRAs bring along nobody asked for."""
        return tuple(found.name for found in self._embeddings if found.given is not None)

    @property
    def _words(self) -> int:
        """Rows of the text encoder's own embedding table."""
        return token_embedding(self._layout.parts["text_encoder"])[0]


def token_embedding(part: Part) -> tuple[int, int]:
    """Rows and width of the token embedding."""
    stored = part.tensors.get(_TOKEN_EMBEDDING) or part.tensors.get(f"text_model.{_TOKEN_EMBEDDING}")
    if stored is None or len(stored.shape) != 2:
        raise CheckpointError(
            f"{part.origin} has no token embedding",
            why=f"It is called {_TOKEN_EMBEDDING}.",
            hint="Is it CLIP's text encoder?",
        )
    return stored.shape[0], stored.shape[1]
