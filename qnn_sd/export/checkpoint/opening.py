"""Opens a checkpoint with everything that the user puts into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qnn_sd import resources
from qnn_sd.config import ModelConfig
from qnn_sd.export.checkpoint import fit, hub, nearby
from qnn_sd.export.checkpoint.architecture import refuse_foreign_config
from qnn_sd.export.checkpoint.checkpoint import Checkpoint, token_embedding
from qnn_sd.export.checkpoint.clip_tokenizer import ClipTokenizerSearch
from qnn_sd.export.checkpoint.embeddings import read_embedding
from qnn_sd.export.checkpoint.folder import read_folder
from qnn_sd.export.checkpoint.lora import read_lora
from qnn_sd.export.checkpoint.misfit import Base, refuse_other_vae
from qnn_sd.export.checkpoint.parts import Layout, Part
from qnn_sd.export.checkpoint.single_file import read_single_file, read_vae
from qnn_sd.export.checkpoint.sources import Sources


def _located(given: str | Path, fetch: Callable[[str, bool], Path], download: bool, option: str) -> Path:
    """An existing path, or what the hub has under that name.

    Raises:
        CheckpointError: neither.
    """
    path = Path(given).expanduser()
    if path.exists():
        return path
    if isinstance(given, str) and hub.is_hub_id(given) and not nearby.without_ending(given):
        return fetch(given, download)
    raise nearby.missing(str(given), option)


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
        say: is told where a tokenizer was found.

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
    vae = None if sources.vae is None else read_vae(_located(sources.vae, hub.fetch_vae, download, "--vae"))
    layout = (read_folder if path.is_dir() else read_single_file)(path, () if vae is None else ("vae",))
    width, table = fit.text_width(layout.parts["unet"]), token_embedding(layout.parts["text_encoder"])
    base = Base(own, path.resolve().name if Path(given).expanduser().exists() else str(given), width)
    if vae is not None:
        layout = _with_vae(layout, vae, base)
    loras = [read_lora(file, scale, layout.parts, base) for file, scale in sources.loras]
    encoder = replace(base, width=table[1])
    embeddings = [read_embedding(file, name, encoder) for name, file in sources.embeddings]
    search = ClipTokenizerSearch(cache or resources.cache(), say, download)
    return Checkpoint(layout, sources, base, search, loras, embeddings)


def _with_vae(layout: Layout, vae: Part, base: Base) -> Layout:
    refuse_foreign_config("vae", vae.origin, vae.config)
    parts = {**layout.parts, "vae": vae}
    refuse_other_vae(vae, parts, base)
    return Layout(layout.origin, parts, layout.scheduler, layout.tokenizer)
