"""What was probably meant by a ``--checkpoint`` that isn't one: the line to type is in the error."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from qnn_sd.config import models
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.parts import PARTS

_INDEX = "model_index.json"
_FILE = ".safetensors"
# Where ComfyUI and A1111 keep checkpoints, seen from their own folder or from that of all models.
_COLLECTIONS = ("checkpoints", "Stable-diffusion", "models/checkpoints", "models/Stable-diffusion")
_NAMED = 5
_WEB = re.compile(r"(https?://(?P<host>[^/]+)/|hf://|(www\.)?(huggingface|hf)\.co/)(?P<rest>.*)", re.IGNORECASE)
_HUBS = (None, "huggingface.co", "hf.co")
# owner/name, and in an address of the hub's perhaps a file.
_ON_HUB = re.compile(r"(?P<id>[^/?#@]+/[^/?#@]+)(@[^/]+)?(/((blob|resolve|raw)/[^/]+/)?(?P<file>[^?#]+\.safetensors))?")


def no_layout(folder: Path) -> CheckpointError | None:
    """The error for a folder that isn't in diffusers' layout; None if it is, or seems to be meant so."""
    if (folder / _INDEX).is_file() or any((folder / part).is_dir() for part in PARTS):
        return None
    what = f"{folder} is no checkpoint in diffusers' layout"
    found = _checkpoints_in(folder)
    if not found:
        pickles = [path.name for path in sorted(folder.glob("*.ckpt"))]
        return CheckpointError(
            what,
            why=f"It has no {_INDEX}, and no folder {', '.join(PARTS)}."
            + (f" {pickles[0]} is a pickle, which qnn-sd doesn't read." if pickles else ""),
            hint="Give the folder that holds model_index.json, a .safetensors file, or a hub id.",
        )
    names = [path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path) for path in found]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    command = _command(found[0])
    if len(found) == 1:
        return CheckpointError(what, why=f"It holds {names[0]}.", hint=f"Type {command}.")
    why = f"It holds {', '.join(names[:_NAMED])}{more}."
    return CheckpointError(what, why=why, hint=f"Choose one, such as {command}.")


def snapshot_of(path: Path) -> Path:
    """The snapshot in a model's folder in the hub's cache; any other path as it is.

    Raises:
        CheckpointError: it has none, or several and none that counts.
    """
    root = path.parent if path.name == "snapshots" else path
    if not root.name.startswith("models--") or not root.is_dir():
        return path
    snapshots = sorted(each for each in (root / "snapshots").glob("*") if each.is_dir())
    main = root / "refs" / "main"
    if len(snapshots) > 1 and main.is_file():
        snapshots = [each for each in snapshots if each.name == main.read_text("utf-8").strip()] or snapshots
    if len(snapshots) == 1:
        return snapshots[0]
    hub_id = root.name.removeprefix("models--").replace("--", "/", 1)
    if snapshots:
        raise CheckpointError(
            f"{path} holds {len(snapshots)} versions of {hub_id}",
            why=f"They are the folders in {root / 'snapshots'}.",
            hint=f"Choose one, such as {snapshots[0]}.",
        )
    raise CheckpointError(
        f"{path} is a model's folder in the hub's cache, with nothing in snapshots/",
        why="Its download was never finished, or was deleted.",
        hint=f"Give the hub id instead, which downloads it: {hub_id}.",
    )


def _checkpoints_in(folder: Path) -> list[Path]:
    """Files and folders near a folder that can be checkpoints."""
    if (folder.parent / _INDEX).is_file() and folder.name in PARTS:
        return [folder.parent]
    found = [*folder.glob(f"*{_FILE}"), *_layouts_in(folder), *_layouts_in(folder / "snapshots")]
    for name in _COLLECTIONS:
        found += [*(folder / name).glob(f"*{_FILE}"), *(folder / name).glob(f"*/*{_FILE}")]
    if folder.name in ("checkpoints", "Stable-diffusion"):
        found += folder.glob(f"*/*{_FILE}")
    # A large file is rather a checkpoint than a LoRA or a VAE.
    return sorted(dict.fromkeys(found), key=lambda path: (-path.stat().st_size if path.is_file() else 0, path))


def _layouts_in(folder: Path) -> Iterator[Path]:
    return (index.parent for index in folder.glob(f"*/{_INDEX}"))


def _command(path: Path) -> str:
    return f"--checkpoint {shlex.quote(str(path))}"


def missing(given: str, option: str) -> CheckpointError:
    """The error for a path that isn't there and can't be a hub id.

    Args:
        given: what was typed.
        option: after which.
    """
    if web := _WEB.fullmatch(given):
        host = None if web["host"] is None else web["host"].lower().removeprefix("www.")
        found = _ON_HUB.match(web["rest"]) if host in _HUBS else None
        return CheckpointError(
            f"{given} is a web address",
            why="A folder, a file or a hub id is taken here.",
            hint=f"Type {option} {'/'.join(filter(None, (found['id'], found['file'])))}."
            if found
            else "Download the .safetensors, and give the file.",
        )
    if given in models():
        return CheckpointError(
            f"{given} is missing", why="It is a model config, and no file or folder.", hint=f"Type --model {given}."
        )
    near = near_paths(given)
    layout = " in diffusers' layout" if option == "--checkpoint" else ""
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(/|[@:].*)", given)
    if not near and found and not Path(found[1]).parent.exists():
        return CheckpointError(
            f"{given} is missing",
            why="There is no such file or folder, and a hub id is spelled owner/name, or owner/name/FILE.safetensors.",
            hint=f"Type {option} {found[1]} for the model of that name on the hub.",
        )
    return CheckpointError(
        f"{given} is missing",
        why="There is no such file or folder, and a hub id is spelled owner/name.",
        hint=f"Did you mean {option} {near[0]}?"
        if near
        else f"Give a folder{layout}, a .safetensors file, or a hub id.",
    )


def without_ending(given: str) -> bool:
    """Whether what isn't there is the name of a file that is, without its ending."""
    return Path(f"{given}{_FILE}").expanduser().is_file()


def near_paths(given: str) -> list[str]:
    """The path of a checkpoint that was probably meant, as it is typed; empty if none is near."""
    path = Path(given).expanduser()
    if without_ending(given):
        return [shlex.quote(f"{given}{_FILE}")]
    try:
        others = [each for each in path.parent.iterdir() if each.suffix == _FILE or (each / _INDEX).is_file()]
    except OSError:
        return []
    # The ending is the same in most names: it would make them all alike.
    stems = {each.name.removesuffix(_FILE).lower(): each for each in others}
    near = difflib.get_close_matches(path.name.removesuffix(_FILE).lower(), sorted(stems), n=1)
    return [shlex.quote(str(stems[name])) for name in near]
