"""Checkpoints by hub id, such as ``owner/name``, through huggingface_hub and its cache.

The library reads its own settings: HF_HOME for the cache's place, HF_HUB_OFFLINE, HF_TOKEN.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from qnn_sd.config import load_model, models
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.nearby import near_paths
from qnn_sd.tokenizer_files import ALL_FILES

# Ends of names that are files, even if they have one slash.
_FILE_ENDS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_STEMS = ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
_CONFIGS = ("model_index.json", "*/config.json", "scheduler/scheduler_config.json")
_SPECIAL_TOKENS = ("special_tokens_map.json", "tokenizer_config.json")
_TOKENIZER = tuple(f"tokenizer/{name}" for name in (*ALL_FILES, *_SPECIAL_TOKENS))
_INDEX = ".safetensors.index.json"
# A file in a model on the hub: owner/name/FILE.
_FILE_ON_HUB = re.compile(rf"(?P<id>{_ID.pattern})/(?P<file>[^:]+\.safetensors)", re.ASCII)


def is_hub_id(text: str) -> bool:
    """Whether a text that is no existing path can be a hub id."""
    return bool(_ID.fullmatch(text)) and not text.lower().endswith(_FILE_ENDS)


def fetch_checkpoint(name: str, download: bool = True) -> Path:
    """The folder of a checkpoint in diffusers' layout: configs, tokenizer and safetensors, nothing else.

    Args:
        name: the hub id.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had.
    """
    if named := file_on_hub(name):
        return fetch_file(*named, download)
    folder = _fetch(name, (*_CONFIGS, *_TOKENIZER, *(f"{stem}.safetensors" for stem in _STEMS)), download)
    # What isn't there as one plain file is there in shards or in half precision, or not at all.
    missing = [stem for stem in _STEMS if not (folder / f"{stem}.safetensors").is_file()]
    if missing:
        shards = [pattern for stem in missing for pattern in (f"{stem}{_INDEX}", f"{stem}-*.safetensors")]
        folder = _fetch(name, shards, download)
    missing = [stem for stem in missing if not (folder / f"{stem}{_INDEX}").is_file()]
    if missing:
        folder = _fetch(name, [f"{stem}.fp16.safetensors" for stem in missing], download)
    missing = [stem for stem in missing if not (folder / f"{stem}.fp16.safetensors").is_file()]
    if missing:
        folder = _fetch(name, [f"{stem}*.safetensors*" for stem in missing], download)
    return folder


def file_on_hub(text: str) -> tuple[str, str] | None:
    """Hub id and file of ``owner/name/FILE.safetensors``; None for another text, and for a path into a folder here."""
    found = _FILE_ON_HUB.fullmatch(text)
    if found is None or ".." in found["file"].split("/") or Path(found["id"]).parent.exists():
        return None
    return found["id"], found["file"]


def fetch_file(hub_id: str, file: str, download: bool = True) -> Path:
    """A file of a model on the hub.

    Args:
        hub_id: the model.
        file: its path there.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had.
    """
    path = _fetch(hub_id, (file,), download) / file
    if not path.is_file():
        raise CheckpointError(f"{hub_id} has no {file}", why="It is on the hub.", hint="Is the name right?")
    return path


def fetch_vae(name: str, download: bool = True) -> Path:
    """The folder of a VAE in diffusers' layout, or of a checkpoint with one.

    Args:
        name: the hub id.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had.
    """
    return _fetch_network(name, "vae", "diffusion_pytorch_model", download)


def fetch_text_encoder(name: str, download: bool = True) -> Path:
    """The folder of a text encoder in transformers' layout, or of a checkpoint with one; as ``fetch_vae``."""
    return _fetch_network(name, "text_encoder", "model", download)


def _fetch_network(name: str, part: str, stem: str, download: bool) -> Path:
    if named := file_on_hub(name):
        return fetch_file(*named, download)
    folder = _fetch(name, ("config.json", f"{stem}.safetensors"), download)
    if not (folder / f"{stem}.safetensors").is_file():
        patterns = (
            f"{stem}.*safetensors*",
            f"{stem}-*.safetensors",
            f"{part}/config.json",
            f"{part}/{stem}*.safetensors*",
        )
        folder = _fetch(name, patterns, download)
    return folder


def fetch_adapter(name: str, names: Sequence[str], option: str, download: bool = True) -> Path:
    """The file of a LoRA or embedding on the hub.

    Args:
        name: the hub id, or a file in it: ``owner/name/FILE.safetensors``.
        names: of the file, as libraries write it; else it is the only one there.
        option: after which it was typed.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had, or it isn't said which of several is meant.
    """
    if named := file_on_hub(name):
        return fetch_file(*named, download)
    folder = _fetch(name, (*names, "adapter_config.json"), download)
    for each in names:
        if (folder / each).is_file():
            return folder / each
    there = _names_on_hub(name) if download else []
    there = there or [path.name for path in sorted(folder.glob("*.safetensors"))]
    if len(there) == 1:
        return _fetch(name, (there[0],), download) / there[0]
    raise CheckpointError(
        f"{name} has several .safetensors files on the hub" if there else f"{name} has no .safetensors file on the hub",
        why=f"It has {', '.join(there[:5])}." if there else f"Looked for were {', '.join(names)}.",
        hint=f"Say which: {option} {name}/{there[0]}." if there else "Give a file, or another model.",
    )


def _names_on_hub(name: str) -> list[str]:
    """The ``.safetensors`` at the top of a model on the hub; empty where it can't be asked."""
    import huggingface_hub  # noqa: PLC0415 (as in _fetch)

    try:
        names = huggingface_hub.list_repo_files(name)
    except Exception:  # as in _fetch: what is in the cache is looked at then
        return []
    return sorted(each for each in names if each.endswith(".safetensors") and "/" not in each)


def fetch_tokenizer(name: str, download: bool = True) -> Path:
    """The folder of a tokenizer.

    Args:
        name: the hub id.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had.
    """
    return _fetch(name, (*ALL_FILES, *_SPECIAL_TOKENS), download)


def cached_snapshots() -> list[Path]:
    """The folders of all models in the library's cache, of any version."""
    from huggingface_hub import constants  # noqa: PLC0415 (as in _fetch)

    return sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*"))


def _near_ids(name: str) -> list[str]:
    """Hub ids that a name may have been meant for: of model configs, and of what was downloaded."""
    shipped: Iterable[str] = (load_model(model).checkpoint for model in models() if load_model(model).from_hub)
    folders = {snapshot.parents[1].name for snapshot in cached_snapshots()}
    cached = (folder.removeprefix("models--").replace("--", "/", 1) for folder in folders)
    known = {each.lower(): each for each in (*shipped, *cached) if each != name}
    return [known[near] for near in difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.8)]


def _fetch(name: str, patterns: Sequence[str], download: bool = True) -> Path:
    # Imported here: it takes a while, and most runs need no hub.
    import huggingface_hub  # noqa: PLC0415
    from huggingface_hub import errors  # noqa: PLC0415

    try:
        return Path(
            huggingface_hub.snapshot_download(name, allow_patterns=list(patterns), local_files_only=not download)
        )
    except errors.GatedRepoError as error:
        what, hint = "asks for its terms to be accepted", "Accept them on the hub's page, then type hf auth login."
        raise CheckpointError(f"{name} {what}", why=_first_line(error), hint=hint) from error
    except errors.RepositoryNotFoundError as error:
        hint = f"{_did_you_mean(name)}Check the spelling; for a private model type hf auth login first."
        raise CheckpointError(f"{name} isn't on the hub", why=_first_line(error), hint=hint) from error
    except errors.LocalEntryNotFoundError as error:
        if not download:
            raise CheckpointError(
                f"{name} isn't downloaded yet",
                why="A dry run downloads nothing, and its plan needs the files.",
                hint="Run the command without --dry-run.",
            ) from error
        raise _unreachable(name, error) from error
    # Without a network the library raises errors of its own, of the system, and of whichever HTTP client it uses.
    except Exception as error:
        raise _unreachable(name, error) from error


def _unreachable(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{name} can't be had from the hub",
        why=f"There is no such file or folder here, and: {_first_line(error)}",
        hint=f"{_did_you_mean(name)}Give a folder or a .safetensors file, or try again with a network "
        "(and without HF_HUB_OFFLINE).",
    )


def _did_you_mean(name: str) -> str:
    """A suggestion to put in front of a hint; empty if there is none."""
    return "".join(f"Did you mean {each}? " for each in (*near_paths(name), *_near_ids(name)))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
