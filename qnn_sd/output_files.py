"""Files and folders that a person asked for: written beside their place and renamed, or not at all."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qnn_sd.errors import OutputError


def output_error(path: Path, error: OSError) -> OutputError:
    """An ``OSError`` while writing, as something to act on."""
    hints = {
        errno.ENOSPC: "Free some space, or choose another folder",
        errno.EROFS: "Choose a folder that you can write to",
        errno.EACCES: "Choose a folder that you can write to",
    }
    # No option by name: commands write with -o, --report or none.
    cure = hints.get(error.errno or 0, "Choose another path")
    if error.errno == errno.ENOENT and not path.parent.is_dir():
        cure = f"Type mkdir -p {shlex.quote(str(path.parent))}"
    return OutputError(
        f"Can't write {path}",
        why=error.strerror or str(error),
        hint=f"{cure}; for the cache set QNN_SD_CACHE.",
    )


def probe_writable(path: Path) -> None:
    """Tries whether a file can be made beside ``path``, before work whose result goes there.

    Raises:
        OutputError: it can't.
    """
    _probe(_behind_links(path).parent, path)


def _behind_links(path: Path) -> Path:
    """The file that a path names: a link stays, and what it leads to is written."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _probe(folder: Path, path: Path) -> None:
    """Makes a file in a folder and lets it go; a failure is about ``path``."""
    try:
        with tempfile.TemporaryFile(prefix=f".{path.name}.", dir=folder):
            pass
    except OSError as error:
        raise output_error(path, error) from error


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yields a path to write to, and renames it to ``path`` only when the block ends well.

    Where ``path`` is a symbolic link, the file that it leads to is replaced, and the link stays.

    Raises:
        OutputError: the folder is missing, full or read-only. Nothing is left behind then.
    """
    try:
        target = _behind_links(path)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise output_error(path, error) from error
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes private files; what people ask for should have their umask's mode.
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o666 & ~umask)
        aside.replace(target)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        aside.unlink(missing_ok=True)


def probe_new_folder(target: Path) -> None:
    """Tries whether a folder can be made or replaced, before work whose result goes there.

    Raises:
        OutputError: it can't.
    """
    existing = _behind_links(target).absolute()
    if existing.exists():
        existing = existing.parent
    while not existing.exists():
        existing = existing.parent
    _probe(existing, target)


def copy_out(source: Path, target: Path) -> None:
    """Copies an artifact's folder to where a person wants it, whole or not at all.

    A folder that is there is replaced, and only deleted when the copy is in its place: whether it may be is the
    caller's to know. Where ``target`` is a symbolic link, the folder that it leads to is replaced, and the link stays.

    Raises:
        OutputError: the place can't be written.
    """
    place = _behind_links(target)
    aside = former = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
        shutil.copytree(source, aside, dirs_exist_ok=True)
        if place.is_dir() and any(place.iterdir()):
            former = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".old", dir=place.parent))
            place.replace(former)
        aside.replace(place)
    except (OSError, shutil.Error) as error:
        raise output_error(target, error) from error
    finally:
        if former is not None and not place.exists():
            former.replace(place)
        for left in (aside, former):
            if left is not None:
                shutil.rmtree(left, ignore_errors=True)
