"""Artifacts: what a stage leaves behind, a folder of files with a manifest.

The manifest names the stage's inputs by hash, its settings and the versions of its tools; the
hash of those is the artifact's key, so that the same recipe is never made twice. A folder is
built beside its place (``build_folder.py``) and renamed into it: what stands in the cache is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qnn_sd import build_folder
from qnn_sd.artifact_manifest import SCHEMA, ArtifactFile, ArtifactManifest, Work
from qnn_sd.errors import ArtifactError
from qnn_sd.output_files import output_error
from qnn_sd.resources import usable_cores

MANIFEST = "manifest.json"
# A file system's clock ticks a few times in a hundredth of a second: what changed just now may change again unseen.
_SETTLED_NANOSECONDS = 1_000_000_000
_PIECE_BYTES = 1 << 22
# What tells a file that was hashed from one that changed since: path, size and time of change.
_Identity = tuple[Path, int, int]
# Hashes of this process.
_hashed: dict[_Identity, str] = {}


def _identity_of(path: Path) -> _Identity:
    found = path.stat()
    return path, found.st_size, found.st_mtime_ns


def unread_bytes(path: Path) -> int:
    """How much ``sha256_of_file`` would read of a file: all of it, or nothing where this process has hashed it."""
    identity = _identity_of(path)
    return 0 if identity in _hashed else identity[1]


def sha256_of_file(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file's bytes; read once a process, unless its size or time of change differs.

    Args:
        path: of the file.
        on_bytes: called with the bytes of each piece that was read, or with all at once where they were read before.
    """
    identity = _identity_of(path)
    _, size, changed = identity
    settled = time.time_ns() - changed > _SETTLED_NANOSECONDS
    if settled and identity in _hashed:
        if on_bytes:
            on_bytes(size)
        return _hashed[identity]
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            if on_bytes:
                on_bytes(len(piece))
    if settled:
        _hashed[identity] = digest.hexdigest()
    return digest.hexdigest()


def sha256_of_json(value: object) -> str:
    """Hex SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Recipe:
    """What determines an artifact's content.

    Attributes:
        stage: ``export``, ``calibrate``, ``quantize``, ``compile``, ``verify`` or ``bundle``.
        name: what people call it, such as ``tiny-sd.unet``.
        inputs: the stage's inputs, by name: hashes of files or keys of artifacts.
        settings: everything else that changes the result; plain JSON values.
        tools: versions of the libraries that do the work.
        work: what there is to do, for estimates; no part of the key.
    """

    stage: str
    name: str
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]
    tools: Mapping[str, str]
    work: Work | None = None

    @property
    def key(self) -> str:
        """Hex hash of the recipe, the cache key."""
        return sha256_of_json([SCHEMA, self.stage, self.name, dict(self.inputs), dict(self.settings), dict(self.tools)])


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk."""

    folder: Path
    key: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False

    def file(self, name: str) -> Path:
        """Path of one of its files."""
        return self.folder / name


def load(
    folder: Path,
    recipe: Recipe | None = None,
    *,
    hashes: bool = True,
    on_bytes: Callable[[int], None] | None = None,
) -> Artifact:
    """Opens an artifact and holds its files against its manifest.

    Args:
        folder: where it is.
        recipe: what it must be of; None for whatever it is.
        hashes: whether the files' hashes are compared too, for which all of them are read; sizes always are.
        on_bytes: as ``sha256_of_file`` takes it.

    Raises:
        ArtifactError: no manifest, an unreadable one, one of another recipe, or a file whose size or hash differs.
    """
    hint = f"Delete {folder} and run the command again: it will be made anew."
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        version = _version_of(content)
        if version is None:
            raise ValueError("It has no schema.")
        if version != SCHEMA:
            raise ArtifactError(
                f"{folder} was made by another version of qnn-sd",
                why=f"Its manifest's version is {version}, this one reads {SCHEMA}.",
                hint=hint,
            )
        manifest = ArtifactManifest.model_validate(content)
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} is not an artifact", why=f"It has no {MANIFEST}.", hint=hint) from error
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        why = "; ".join(str(error).splitlines()[:3])
        raise ArtifactError(f"The manifest of {folder} can't be read", why=why, hint=hint) from error
    found = manifest.key, manifest.stage, manifest.name
    if recipe is not None and found != (recipe.key, recipe.stage, recipe.name):
        raise ArtifactError(
            f"{folder} holds another artifact than its place is for",
            why=f"It is {manifest.name} of the stage {manifest.stage}, key {manifest.key[:12]}.",
            hint=hint,
        )
    root = folder.resolve()
    for name, file in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise ArtifactError(f"The manifest of {folder} names a file outside it", why=name, hint=hint)
        if not path.is_file():
            raise ArtifactError(f"{path} is missing", why="The artifact's manifest lists it.", hint=hint)
        size = path.stat().st_size
        if size != file.bytes:
            raise ArtifactError(
                f"{path} is damaged", why=f"It has {size:,} bytes, the manifest says {file.bytes:,}.", hint=hint
            )
        if hashes and sha256_of_file(path, on_bytes) != file.sha256:
            raise ArtifactError(f"{path} is damaged", why="Its SHA-256 is not the one in the manifest.", hint=hint)
    return Artifact(folder, manifest.key, manifest.metadata, manifest.seconds, cached=True)


def is_current(folder: Path) -> bool:
    """Whether an artifact's manifest is of this version; one that can't be read is: ``load`` says so."""
    with suppress(OSError, ValueError):
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        return not isinstance(content, dict) or _version_of(content) in (None, SCHEMA)
    return True


def _version_of(content: Mapping[str, Any]) -> object:
    """A manifest's version; the first ones numbered a format."""
    return content.get("schema") or content.get("format")


def artifact_folder(root: Path, recipe: Recipe) -> Path:
    """Where the artifact of a recipe stands in the cache."""
    return root / recipe.stage / f"{recipe.name}-{recipe.key[:12]}"


def last_seconds(root: Path, recipe: Recipe) -> float | None:
    """How long the newest artifact took that was the same work on as many cores; None if there is none.

    The same work is the same stage done the same way, on networks of the same size, at the same size of image. One
    whose build was resumed doesn't say how long the whole takes.
    """
    if recipe.work is None:
        return None
    newest: tuple[float, float] | None = None
    cores, work = len(usable_cores()), recipe.work.model_dump(mode="json")
    for manifest in (root / recipe.stage).glob(f"*/{MANIFEST}"):
        # One that can't be read will say so when it is used.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(manifest.read_text("utf-8"))
            same = content.get("work") == work and content.get("cores") == cores and not content.get("resumed")
            if same:
                newest = max(newest or (0.0, 0.0), (manifest.stat().st_mtime, float(content["seconds"])))
    return None if newest is None else newest[1]


def load_or_build(
    root: Path,
    recipe: Recipe,
    build: Callable[[Path], Mapping[str, Any]],
    resumable: bool = False,
    report: Callable[[str], None] = lambda _line: None,
    on_bytes: Callable[[int], None] | None = None,
) -> Artifact:
    """The artifact of a recipe: from the cache, or built now.

    Args:
        root: the cache folder.
        recipe: what to make.
        build: fills a folder and returns metadata for the manifest (plain JSON values). The folder is empty,
            or, if resumable, holds what an earlier build of this recipe had finished when it was
            killed or failed; what it does not want in the artifact it must remove.
            The manifest's seconds are those of the build that ended it.
        resumable: whether what was finished is kept for the next build. Only one process at a time
            builds such a recipe; another waits and takes what the first one made, or goes on there.
        report: gets a line when it waits.
        on_bytes: called with the bytes of each piece of a cached artifact that was read, to hash it.

    Raises:
        ArtifactError: the cache holds a damaged one.
        OutputError: the cache can't be written or, if resumable, has no locks.
    """
    target = artifact_folder(root, recipe)
    if target.exists():
        return load(target, recipe, on_bytes=on_bytes)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        build_folder.sweep(target.parent)
        with build_folder.resumable(target, report) if resumable else build_folder.fresh(target) as aside:
            if target.exists():
                # Another process made it meanwhile.
                build_folder.remove(aside)
                return load(target, recipe)
            return _built(aside, target, recipe, build)
    except OSError as error:
        raise output_error(target, error) from error


def _built(aside: Path, target: Path, recipe: Recipe, build: Callable[[Path], Mapping[str, Any]]) -> Artifact:
    """Fills a folder, writes its manifest and renames it to its place."""
    # From a builder that was killed between its last two steps.
    (aside / MANIFEST).unlink(missing_ok=True)
    resumed = any(aside.iterdir())
    started = time.monotonic()
    metadata = dict(build(aside))
    seconds = time.monotonic() - started
    files = {
        path.relative_to(aside).as_posix(): ArtifactFile(bytes=path.stat().st_size, sha256=sha256_of_file(path))
        for path in sorted(aside.rglob("*"))
        if path.is_file()
    }
    manifest = ArtifactManifest(
        key=recipe.key,
        stage=recipe.stage,
        name=recipe.name,
        inputs=dict(recipe.inputs),
        settings=dict(recipe.settings),
        tools=dict(recipe.tools),
        seconds=round(seconds, 3),
        work=recipe.work,
        cores=len(usable_cores()),
        resumed=resumed,
        metadata=metadata,
        files=files,
    )
    (aside / MANIFEST).write_text(json.dumps(manifest.content, indent=2, allow_nan=False) + "\n", "utf-8")
    aside.chmod(0o755)
    try:
        aside.rename(target)
    except OSError as error:
        # Another process made the same artifact meanwhile: its bytes are as good as ours.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return load(target)
    return Artifact(target, recipe.key, metadata, seconds)
