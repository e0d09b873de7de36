"""Paths and owners, as several commands show them."""

from __future__ import annotations

from qnn_sd.virtual_phone.android.file_system import ROOT_UID


def owner_name(uid: int) -> str:
    """``root`` or ``shell``."""
    return "root" if uid == ROOT_UID else "shell"


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def base_name(path: str) -> str:
    """The last component of a path."""
    return path.rstrip("/").rsplit("/", 1)[-1]
