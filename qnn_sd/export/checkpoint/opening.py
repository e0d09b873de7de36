"""Opens a checkpoint with everything that the user puts into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qnn_sd import resources
from qnn_sd.config import ModelConfig
from qnn_sd.export.checkpoint import fit, hub, nearby
from qnn_sd.export.checkpoint.architecture import refuse_foreign_config
from qnn_sd.export.checkpoint.checkpoint import Checkpoint, token_embedding
from qnn_sd.export.checkpoint.clip_skip import remarks_on_skipped
from qnn_sd.export.checkpoint.clip_tokenizer import ClipTokenizerSearch
from qnn_sd.export.checkpoint.embeddings import FILES as EMBEDDING_NAMES
from qnn_sd.export.checkpoint.embeddings import embedding_file, read_embedding, with_bundled
from qnn_sd.export.checkpoint.folder import read_folder
from qnn_sd.export.checkpoint.lora import Lora, read_lora
from qnn_sd.export.checkpoint.lora_files import NAMES as LORA_NAMES
from qnn_sd.export.checkpoint.lora_files import LoraFiles, lora_files
from qnn_sd.export.checkpoint.misfit import Base, refuse_other_text_encoder, refuse_other_vae
from qnn_sd.export.checkpoint.modelspec import remarks_on
from qnn_sd.export.checkpoint.not_weights import broken_link
from qnn_sd.export.checkpoint.parts import Layout, Part
from qnn_sd.export.checkpoint.prediction import kind_in, settled_scheduler, statements_of
from qnn_sd.export.checkpoint.single_file import read_network, read_part_folder, read_single_file
from qnn_sd.export.checkpoint.sources import Sources
from qnn_sd.tokenizer_files import ALL_FILES


def _located(given: str | Path, fetch: Callable[[str, bool], Path], download: bool, option: str) -> Path:
    """An existing path, or what the hub has under that name.

    Raises:
        CheckpointError: neither.
    """
    path = Path(given).expanduser()
    if path.exists():
        return nearby.snapshot_of(path)
    if broken := broken_link(path):
        raise broken
    on_hub = isinstance(given, str) and (hub.is_hub_id(given) or hub.file_on_hub(given))
    if on_hub and not nearby.without_ending(str(given)):
        return fetch(str(given), download)
    raise nearby.missing(str(given), option)


def _lora(name: str, download: bool) -> Path:
    return hub.fetch_adapter(name, LORA_NAMES, "--lora", download)


def _embedding(name: str, download: bool) -> Path:
    return hub.fetch_adapter(name, EMBEDDING_NAMES, "--embedding", download)


def located_lora(given: str | Path, download: bool = True) -> LoraFiles:
    """The files of a LoRA: its own, those in its folder, or the hub's.

    Raises:
        CheckpointError: there are none, or several.
    """
    return lora_files(_located(given, _lora, download, "--lora"))


def located_embedding(given: str | Path, download: bool = True) -> Path:
    """The file of an embedding: itself, the one in its folder, or the hub's.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    return embedding_file(_located(given, _embedding, download, "--embedding"))


def open_checkpoint(
    sources: Sources,
    download: bool = True,
    model: ModelConfig | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Checkpoint:
    """Opens a checkpoint: configs and headers are read and checked, no weight is.

    Args:
        sources: what it is made from.
        download: whether a hub id's files are downloaded if they aren't here.
        model: the config whose own checkpoint is opened if ``sources`` names none.
        cache: where CLIP's tokenizer is kept once it was unpacked; None for the user's.
        say: is told where a tokenizer was found, and what else a user should know of the files.

    Raises:
        CheckpointError: something is missing, damaged, a pickle, or doesn't fit the rest.
        UnsupportedModelError: another architecture (named).
        SettingError: embeddings that share a name.
    """
    own = model if sources.checkpoint is None else None
    given = sources.checkpoint
    if given is None:
        assert model is not None, "whoever names no checkpoint names a model"
        given = model.checkpoint if model.from_hub else resources.assets() / model.checkpoint
        sources = replace(sources, checkpoint=given)
    path = _located(given, hub.fetch_checkpoint, download, "--checkpoint")
    others = _other_networks(sources, download)
    replaced = tuple(others)
    layout = read_folder(path, replaced, read_part_folder) if path.is_dir() else read_single_file(path, replaced)
    width = fit.text_width(layout.parts["unet"])
    base = Base(own, path.resolve().name if Path(given).expanduser().exists() else str(given), width)
    layout = _with_others(layout, others, base)
    encoder = replace(base, width=token_embedding(layout.parts["text_encoder"])[1])
    scheduler = settled_scheduler(layout, sources.prediction, say)
    loras = [
        read_lora(each, located_lora(each, download), scale, layout.parts, base, encoder.width)
        for each, scale in sources.loras
    ]
    embeddings = [
        read_embedding(each, located_embedding(each, download), name, encoder) for name, each in sources.embeddings
    ]
    embeddings, on_bundled = with_bundled(embeddings, [each for lora in loras for each in lora.embeddings])
    search = ClipTokenizerSearch(cache or resources.cache(), say, download)
    checkpoint = Checkpoint(layout, sources, base, search, loras, embeddings, scheduler)
    for line in (*_remarks(layout, loras, scheduler), *on_bundled):
        say(line)
    if sources.clip_skip is None:
        for line in remarks_on_skipped(layout.parts["text_encoder"]):
            say(line)
    return checkpoint


def _other_networks(sources: Sources, download: bool) -> dict[str, Part]:
    """The networks that are given apart."""
    asked = (
        ("vae", sources.vae, hub.fetch_vae, "--vae"),
        ("text_encoder", sources.text_encoder, hub.fetch_text_encoder, "--text-encoder"),
    )
    return {
        part: read_network(_located(given, fetch, download, option), part)
        for part, given, fetch, option in asked
        if given is not None
    }


def _with_others(layout: Layout, others: Mapping[str, Part], base: Base) -> Layout:
    for part, other in others.items():
        refuse_foreign_config(part, other.origin, other.config)
    parts = {**layout.parts, **others}
    if "vae" in others:
        refuse_other_vae(others["vae"], parts, base)
    if "text_encoder" in others:
        refuse_other_text_encoder(others["text_encoder"], token_embedding(others["text_encoder"])[1], base)
    return replace(layout, parts=parts, tokenizer=layout.tokenizer or _tokenizer_beside(others.get("text_encoder")))


def _tokenizer_beside(text_encoder: Part | None) -> Path | None:
    """The tokenizer of the checkpoint that a text encoder is from."""
    if text_encoder is None:
        return None
    folder = text_encoder.origin if text_encoder.origin.is_dir() else text_encoder.origin.parent
    for place in (folder.parent / "tokenizer", folder / "tokenizer", folder):
        if any((place / name).is_file() for name in ALL_FILES):
            return place
    return None


def _remarks(layout: Layout, loras: Sequence[Lora], scheduler: Mapping[str, Any]) -> Iterator[str]:
    """What a user should know of the files, each line once."""
    lines = [*layout.remarks, *(line for part in layout.parts.values() for line in part.remarks)]
    lines += [line for file in layout.sources for line in remarks_on(file)]
    kind = kind_in(scheduler)
    for lora in loras:
        lines += lora.remarks
        other = next((each for each in statements_of(lora.sources, kind) if each.kind not in (None, kind)), None)
        if other is not None:
            lines.append(f"{lora.path.name} was trained for predicting {other.kind}, not {kind}, by {other.place}")
    yield from dict.fromkeys(lines)
