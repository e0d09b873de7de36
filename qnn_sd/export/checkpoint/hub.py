"""Checkpoints by hub id, such as ``owner/name``, through huggingface_hub and its cache.

The library reads its own settings: HF_HOME for the cache's place, HF_HUB_OFFLINE, HF_TOKEN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from qnn_sd.errors import CheckpointError
from qnn_sd.tokenizer_files import ALL_FILES

# Ends of names that are files, even if they have one slash.
_FILE_ENDS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_STEMS = ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
_CONFIGS = ("model_index.json", "*/config.json", "scheduler/scheduler_config.json")
_SPECIAL_TOKENS = ("special_tokens_map.json", "tokenizer_config.json")
_TOKENIZER = tuple(f"tokenizer/{name}" for name in (*ALL_FILES, *_SPECIAL_TOKENS))
_INDEX = ".safetensors.index.json"


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
    folder = _fetch(name, (*_CONFIGS, *_TOKENIZER, *(f"{stem}.safetensors" for stem in _STEMS)), download)
    # What isn't there as one plain file is there in shards or in half precision, or not at all.
    missing = [stem for stem in _STEMS if not (folder / f"{stem}.safetensors").is_file()]
    if missing:
        shards = [pattern for stem in missing for pattern in (f"{stem}{_INDEX}", f"{stem}-*.safetensors")]
        folder = _fetch(name, shards, download)
    missing = [stem for stem in missing if not (folder / f"{stem}{_INDEX}").is_file()]
    if missing:
        folder = _fetch(name, [f"{stem}.fp16.safetensors" for stem in missing], download)
    return folder


def fetch_vae(name: str, download: bool = True) -> Path:
    """The folder of a VAE in diffusers' layout.

    Args:
        name: the hub id.
        download: whether to download what isn't in the library's cache.

    Raises:
        CheckpointError: it can't be had.
    """
    return _fetch(name, ("config.json", "diffusion_pytorch_model.safetensors"), download)


def fetch_tokenizer(name: str) -> Path:
    """The folder of a tokenizer.

    Raises:
        CheckpointError: it can't be had.
    """
    return _fetch(name, (*ALL_FILES, *_SPECIAL_TOKENS))


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
        what, hint = "isn't on the hub", "Check the spelling; for a private model type hf auth login first."
        raise CheckpointError(f"{name} {what}", why=_first_line(error), hint=hint) from error
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
        hint="Give a folder or a .safetensors file, or try again with a network (and without HF_HUB_OFFLINE).",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
