"""Opens a checkpoint with everything that the user puts into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qnn_sd.errors import CheckpointError, SettingError
from qnn_sd.export.checkpoint import hub
from qnn_sd.export.checkpoint.architecture import refuse_foreign_config, refuse_other_tasks
from qnn_sd.export.checkpoint.embeddings import Embedding, read_embedding
from qnn_sd.export.checkpoint.folder import read_folder
from qnn_sd.export.checkpoint.identity import CheckpointIdentity, identify
from qnn_sd.export.checkpoint.json_file import read_json
from qnn_sd.export.checkpoint.lora import Delta, Lora, read_lora
from qnn_sd.export.checkpoint.parts import Layout, Part
from qnn_sd.export.checkpoint.single_file import read_single_file, read_vae
from qnn_sd.export.checkpoint.sources import Sources
from qnn_sd.export.checkpoint.weights import Weights
from qnn_sd.tokenizer_files import read_vocabulary

# CLIP's own tokenizer, which Stable Diffusion 1.x uses: a single file brings none.
CLIP_TOKENIZER = "openai/clip-vit-large-patch14"
_TOKEN_EMBEDDING = "embeddings.token_embedding.weight"


class Checkpoint:
    """What the exporter and the generation loop need of a checkpoint.

    Args:
        layout: the networks as they lie on disk, all of ``PARTS``.
        loras: what is merged into the weights, in this order.
        embeddings: textual inversions.
        tokenizer: folder of the tokenizer instead of the layout's, or None.

    Raises:
        CheckpointError: networks or embeddings that don't fit each other.
        UnsupportedModelError: a model for something else than text to image.
    """

    def __init__(
        self,
        layout: Layout,
        loras: Sequence[Lora] = (),
        embeddings: Sequence[Embedding] = (),
        tokenizer: Path | None = None,
    ) -> None:
        self._layout, self._loras, self._embeddings, self._tokenizer = layout, loras, embeddings, tokenizer
        refuse_other_tasks(layout.origin, self.config("unet"), self.config("vae"))

    def config(self, part: str) -> Mapping[str, Any]:
        """A part's config, as diffusers' ``config.json``.

        Args:
            part: one of ``PARTS``.
        """
        config = self._layout.parts[part].config
        if part != "text_encoder" or not self._embeddings:
            return config
        return {**config, "vocab_size": self._words + sum(len(found.vectors) for found in self._embeddings)}

    def weights(self, part: str) -> Weights:
        """A part's tensors, LoRAs merged and embeddings appended."""
        deltas: dict[str, list[Delta]] = {}
        for lora in self._loras:
            for name, delta in lora.deltas.get(part, {}).items():
                deltas.setdefault(name, []).append(delta)
        rows = {}
        if part == "text_encoder" and self._embeddings:
            rows[_TOKEN_EMBEDDING] = np.concatenate([found.vectors for found in self._embeddings])
        return Weights(self._layout.parts[part], deltas, rows)

    def files(self, part: str) -> dict[str, Path]:
        """The files that determine a part, by names that don't depend on where they stand."""
        files = dict(self._layout.parts[part].files)
        files |= {f"lora/{number}": lora.path for number, lora in enumerate(self._loras) if part in lora.deltas}
        if part == "text_encoder":
            files |= {f"embedding/{number}": found.path for number, found in enumerate(self._embeddings)}
        return files

    def settings(self, part: str) -> dict[str, Any]:
        """What else determines a part; plain JSON values."""
        scales = {f"lora/{number}": lora.scale for number, lora in enumerate(self._loras) if part in lora.deltas}
        return {"config": self.config(part), "scales": scales}

    def identity(self, sources: Sources) -> CheckpointIdentity:
        """What it is, for an image's metadata.

        Args:
            sources: what it was opened from, its own path or hub id included.
        """
        return identify(self._layout, self._loras, self._embeddings, sources)

    @property
    def scheduler(self) -> Mapping[str, Any]:
        """The checkpoint's ``scheduler_config.json``.

        Raises:
            CheckpointError: it has none.
        """
        if not self._layout.scheduler:
            raise CheckpointError(
                f"{self._layout.origin / 'scheduler' / 'scheduler_config.json'} is missing",
                hint="Is the checkpoint complete?",
            )
        return self._layout.scheduler

    @property
    def is_lcm(self) -> bool:
        """Whether it is a latent consistency model, which wants its own scheduler and few steps."""
        return self._layout.scheduler.get("_class_name") == "LCMScheduler" or self.embeds_guidance

    @property
    def embeds_guidance(self) -> bool:
        """Whether the UNet takes the guidance scale as an input."""
        return self.config("unet").get("time_cond_proj_dim") is not None

    @cached_property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer.

        Raises:
            CheckpointError: there is none, or it isn't this text encoder's.
        """
        folder = self._tokenizer or self._layout.tokenizer
        if folder is None:
            try:
                folder = hub.fetch_tokenizer(CLIP_TOKENIZER)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{self._layout.origin} brings no tokenizer",
                    why=f"{error.what}. {error.why}",
                    hint="Give --tokenizer FOLDER with CLIP's vocab.json and merges.txt.",
                ) from error
        self._refuse_other_vocabulary(read_vocabulary(folder)[0], folder)
        return folder

    def _refuse_other_vocabulary(self, vocabulary: Mapping[str, int], folder: Path) -> None:
        if len(vocabulary) > self._words:
            raise CheckpointError(
                f"The tokenizer in {folder} isn't this text encoder's",
                why=f"It has {len(vocabulary):,} tokens, the text encoder knows {self._words:,}.",
                hint="Give --tokenizer FOLDER with the model's own vocab.json and merges.txt.",
            )
        for found in self._embeddings:
            # Names are recognised in any case.
            if {found.name, found.name.lower()} & vocabulary.keys():
                raise SettingError(
                    f"{found.name!r} can't be an embedding's name",
                    why="It is a token of the tokenizer already.",
                    hint=f"Give another one: --embedding NAME={found.path}.",
                )

    @property
    def padding_token(self) -> str | None:
        """The token that pads prompts, if the tokenizer names one."""
        # transformers 5 writes the latter alone.
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            path = self.tokenizer / name
            if path.is_file():
                padding = read_json(path).get("pad_token")
                # Old files spell a special token as an object.
                padding = padding.get("content") if isinstance(padding, dict) else padding
                return padding if isinstance(padding, str) else None
        return None

    @property
    def added_tokens(self) -> dict[str, list[int]]:
        """The rows of the token embedding that each added name stands for.

        As in diffusers, ``name_1`` is the second vector of ``name`` alone.

        Raises:
            SettingError: two embeddings share a name.
        """
        tokens: dict[str, list[int]] = {}
        row = self._words
        for found in self._embeddings:
            rows = list(range(row, row + len(found.vectors)))
            row += len(rows)
            named = {found.name: rows, **{f"{found.name}_{n}": [rows[n]] for n in range(1, len(rows))}}
            twice = tokens.keys() & named.keys()
            if twice:
                raise SettingError(
                    f"Two embeddings are called {min(twice)!r}", hint=f"Rename one: --embedding NAME={found.path}."
                )
            tokens |= named
        return tokens

    @property
    def _words(self) -> int:
        """Rows of the text encoder's own embedding table."""
        return _token_embedding(self._layout.parts["text_encoder"])[0]


def _token_embedding(part: Part) -> tuple[int, int]:
    """Rows and width of the token embedding."""
    stored = part.tensors.get(_TOKEN_EMBEDDING) or part.tensors.get(f"text_model.{_TOKEN_EMBEDDING}")
    if stored is None or len(stored.shape) != 2:
        raise CheckpointError(
            f"{part.origin} has no token embedding",
            why=f"It is called {_TOKEN_EMBEDDING}.",
            hint="Is it CLIP's text encoder?",
        )
    return stored.shape[0], stored.shape[1]


def _located(given: str | Path, fetch: Callable[[str, bool], Path], download: bool) -> Path:
    """An existing path, or what the hub has under that name.

    Raises:
        CheckpointError: neither.
    """
    path = Path(given).expanduser()
    if path.exists():
        return path
    if isinstance(given, str) and hub.is_hub_id(given):
        return fetch(given, download)
    raise CheckpointError(
        f"{given} is missing",
        why="There is no such file or folder, and a hub id is spelled owner/name.",
        hint="Give a folder in diffusers' layout, a .safetensors file, or a hub id.",
    )


def open_checkpoint(sources: Sources, download: bool = True) -> Checkpoint:
    """Opens a checkpoint: configs and headers are read and checked, no weight is.

    Args:
        sources: what it is made from; ``sources.checkpoint`` is set.
        download: whether a hub id's files are downloaded if they aren't here.

    Raises:
        CheckpointError: something is missing, damaged, a pickle, or doesn't fit the rest.
        UnsupportedModelError: another architecture (named).
        SettingError: embeddings that share a name.
    """
    assert sources.checkpoint is not None, "whoever opens a checkpoint knows which"
    path = _located(sources.checkpoint, hub.fetch_checkpoint, download)
    vae = read_vae(_located(sources.vae, hub.fetch_vae, download)) if sources.vae is not None else None
    layout = (read_folder if path.is_dir() else read_single_file)(path, () if vae is None else ("vae",))
    if vae is not None:
        layout = _with_vae(layout, vae)
    loras = [read_lora(file, scale, layout.parts) for file, scale in sources.loras]
    embeddings = []
    if sources.embeddings:
        width = _token_embedding(layout.parts["text_encoder"])[1]
        embeddings = [read_embedding(file, name, width) for name, file in sources.embeddings]
    return Checkpoint(layout, loras, embeddings, sources.tokenizer)


def _with_vae(layout: Layout, vae: Part) -> Layout:
    refuse_foreign_config("vae", vae.origin, vae.config)
    return Layout(layout.origin, {**layout.parts, "vae": vae}, layout.scheduler, layout.tokenizer)
