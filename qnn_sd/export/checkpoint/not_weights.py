"""Files that aren't weights in safetensors, whatever they are called: named for what they are, each with its cure."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from qnn_sd.errors import CheckpointError
from qnn_sd.file_beginnings import (
    ANNEX_POINTER,
    COMPANIONS,
    GGUF,
    HEAD_BYTES,
    LFS_POINTER,
    PICKLE,
    as_text,
    is_json,
    is_onnx,
    is_web_page,
    known_beginning,
    pointed_bytes,
)
from qnn_sd.in_words import shown

_LENGTH_BYTES = 8
_PICKLE_NAMES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_TEXTS = (".yaml", ".yml", ".txt", ".md", ".toml", ".csv", ".py")
_AGAIN = "Download or copy it again: the transfer failed."
_LOG_IN = (
    "Log in where it is from, or accept the model's licence there, and download the file again "
    "(from the hub: hf auth login, then the hub id instead of a file)."
)


def refuse_other_content(path: Path) -> None:
    """Raises for a file that is known to be something else than safetensors.

    Raises:
        CheckpointError: saying what it is, or that it can't be opened.
    """
    if broken := broken_link(path):
        raise broken
    try:
        size = path.stat().st_size
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise CheckpointError(f"{path} is no file", hint="Give a .safetensors file.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read", why=f"{error.strerror}.", hint="Is the path right?") from error
    if _is_safetensors(head, size):
        return
    if not head:
        raise CheckpointError(f"{path} is empty", why="It has no byte.", hint=_AGAIN)
    _refuse_known(path, head)
    text = as_text(head) if head.strip(b"\0") else None
    if text is not None and text.strip():
        raise _text(path, text)
    if path.suffix.lower() in _PICKLE_NAMES:
        raise _pickle(path)
    # Of a header that would have room in the file, its reader says what is wrong with it.
    has_room = 0 < int.from_bytes(head[:_LENGTH_BYTES], "little") <= size - _LENGTH_BYTES
    if len(head) > _LENGTH_BYTES and not has_room and head[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise _no_header(path, head)


def _refuse_known(path: Path, head: bytes) -> None:
    """Raises for a file with a beginning of its own."""
    if head.startswith(b"PK"):
        raise _zipped(path)
    what = known_beginning(head)
    if what == LFS_POINTER:
        raise lfs_pointer(path, head)
    if what is None and is_onnx(path, head):
        what = "an ONNX model"
    if what == PICKLE:
        raise _pickle(path)
    if what == ANNEX_POINTER:
        raise CheckpointError(
            f"{path} is {what}", why="It stands for the real file, which wasn't fetched.", hint=_annex_cure(path)
        )
    if what is not None:
        raise CheckpointError(f"{path} is {what}", why="It begins as one.", hint=_cure(what))


def _no_header(path: Path, head: bytes) -> CheckpointError:
    if not head.strip(b"\0"):
        why, hint = "It begins with zeros: room was made for it, and its content never came.", _AGAIN
    else:
        why = f"It begins {head[:_LENGTH_BYTES].hex(' ')}, and no header follows."
        hint = "Get the model's .safetensors; if this should be it, download it again."
    return CheckpointError(f"{path} is no safetensors file", why=why, hint=hint)


def refuse_pickles_in(folder: Path) -> None:
    """Raises for a folder whose weights are pickles.

    Raises:
        CheckpointError: naming the first.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICKLE_NAMES:
            refuse_other_content(path)


def weights_in(folder: Path) -> list[Path]:
    """The ``.safetensors`` in a folder, without what systems hide beside them (``._name`` of macOS)."""
    return [path for path in sorted(folder.glob("*.safetensors")) if not path.name.startswith(".")]


def broken_link(path: Path) -> CheckpointError | None:
    """The error for a link that leads to nothing; None for anything else."""
    if path.exists() or not path.is_symlink():
        return None
    in_hub = any(part.startswith("models--") for part in path.parts)
    cure = "Download the model again: give its hub id, owner/name." if in_hub else "Get the file, or correct the link."
    target = path.readlink()
    if "annex" in target.parts:
        cure = _annex_cure(path)
    return CheckpointError(f"{path} is a broken link", why=f"It leads to {target}, which isn't there.", hint=cure)


def _annex_cure(path: Path) -> str:
    return f"Type git annex get {path.name} in {path.parent}."


def refuse_no_json(path: Path) -> None:
    """Raises for a JSON file that holds something else: a pointer, a page, nothing.

    Raises:
        CheckpointError: saying what it is.
    """
    if broken := broken_link(path):
        raise broken
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return
    if not head.strip():
        raise CheckpointError(f"{path} is empty", why="It has no byte.", hint=_AGAIN)
    if known_beginning(head) == LFS_POINTER:
        raise lfs_pointer(path, head)
    if is_web_page(as_text(head) or ""):
        raise _web_page(path)


def lfs_pointer(path: Path, head: bytes) -> CheckpointError:
    """The error for a pointer that stands where a file should."""
    size = pointed_bytes(head)
    return CheckpointError(
        f"{path} is a Git LFS pointer",
        why=f"It stands for the real file{'' if size is None else f' of {size:,} bytes'}, which wasn't fetched.",
        hint=f"Type git lfs pull in {path.parent} (after git lfs install), or download the file itself.",
    )


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, whatever it is called."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _is_safetensors(file.read(_LENGTH_BYTES + 1), path.stat().st_size)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins with a header's length and a header, whatever it is called."""
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{" and length <= size - _LENGTH_BYTES


def _pickle(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a pickle",
        why="Opening one runs whatever code is inside; qnn-sd reads .safetensors only.",
        hint="Download the .safetensors of the same model, or convert it where its code can do no harm.",
    )


def _zipped(path: Path) -> CheckpointError:
    """A zip archive: torch's pickles are some, and so are archives of models."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        # One that was cut short: torch's is the likeliest.
        return _pickle(path)
    if any(name.endswith((".pkl", "/version")) for name in names):
        return _pickle(path)
    inside = [name for name in names if name.endswith(".safetensors")] or names
    return CheckpointError(
        f"{path} is a zip archive",
        why=f"It holds {shown(', '.join(inside[:3])) or 'nothing'}.",
        hint="Unpack it, and give what was in it.",
    )


def _cure(what: str) -> str:
    if what == GGUF:
        return "It is quantized for llama.cpp and its kin: get the model's .safetensors, in fp16 or fp32."
    if what == "an ONNX model":
        return "Give the checkpoint that it was exported from: qnn-sd exports its own graphs."
    if what.endswith("archive"):
        return "Unpack it, and give what was in it."
    if what in COMPANIONS.values():
        return "Give the file itself: this only leads to it, or stands beside it."
    return "Get the model's .safetensors."


def _web_page(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a web page", why="A site answered with a page instead of the file.", hint=_LOG_IN
    )


def _text(path: Path, text: str) -> CheckpointError:
    if is_web_page(text):
        return _web_page(path)
    if not is_json(text):
        why = f"It begins {shown(text.strip()[:60])!r}."
        hint = "Give the file with the weights." if path.suffix.lower() in _TEXTS else _LOG_IN
        return CheckpointError(f"{path} is text, and no weights", why=why, hint=hint)
    try:
        # An index is longer than its beginning.
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    content = content if isinstance(content, dict) else {}
    if "weight_map" in content:
        return CheckpointError(
            f"{path} is the index of sharded weights",
            why="It says which of the files beside it holds which tensor.",
            hint=f"Give the folder around it, with the shards in it: {path.parent}.",
        )
    if content.keys() & {"_class_name", "model_type", "peft_type"}:
        folder = path.parent
        return CheckpointError(
            f"{path} is a config, and no weights",
            why="The weights stand beside it.",
            hint=f"Give the folder: {folder}.",
        )
    return CheckpointError(
        f"{path} is JSON text, and no weights",
        why=f"It begins {shown(text.strip()[:60])!r}: so servers answer that refuse a download.",
        hint=_LOG_IN,
    )
