"""What the commands that build share: copies of an artifact, and what a document says of it."""

from __future__ import annotations

import filecmp
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from qnn_sd import output_files, resources
from qnn_sd.artifact import MANIFEST, Artifact
from qnn_sd.artifact_manifest import ArtifactManifest
from qnn_sd.cli.documents.build import BuiltFile, StageOutput
from qnn_sd.cli.help import OUTPUT, option
from qnn_sd.cli.options import Command
from qnn_sd.config import DeviceProfile, ModelConfig
from qnn_sd.console import Console
from qnn_sd.errors import OutputError, SettingError
from qnn_sd.schemas import ImageSize

# The name of a folder in the one that was typed, where it is all of it.
WHOLE = "."


@dataclass(frozen=True)
class Copies:
    """``-o`` and ``--force``: where copies go.

    Attributes:
        folder: as typed; None for the cache alone.
        force: whether what an earlier command wrote there is replaced.
    """

    folder: Path | None
    force: bool

    def check(self, names: Iterable[str], cache: Path | None) -> None:
        """Before any work; with nothing of ours in the way it can't be known yet whether the content will be the same.

        Args:
            names: of the folders in it; ``WHOLE`` for itself.
            cache: folder of the artifacts; None for the user's.

        Raises:
            OutputError: a place that isn't ours to write.
            SettingError: --force without -o.
        """
        if self.folder is None:
            if self.force:
                raise SettingError("--force has no meaning without -o", hint="Leave it out, or add -o FOLDER.")
            return
        _refuse_in_cache(self.folder, cache or resources.cache())
        for name in names:
            target = self.folder / name
            _refuse_foreign(target)
            output_files.probe_new_folder(target)

    def refuse_another(self, stage: str, names: Mapping[str, str]) -> None:
        """Before any work, as ``check``: what is there and isn't the same kind of result can't have its content.

        Args:
            stage: that makes what is to be copied.
            names: of the results' recipes, by the name of the folder for each.

        Raises:
            OutputError: another model's, SoC's or stage's result is there, and --force wasn't typed.
        """
        if self.folder is None or self.force:
            return
        for folder, name in names.items():
            manifest = _manifest(self.folder / folder)
            if manifest is not None and (manifest.stage, manifest.name) != (stage, name):
                raise OutputError(
                    f"Can't write {self.folder / folder}",
                    why=f"It holds the result of another build: {manifest.stage} {manifest.name}, not {name}.",
                    hint="Add --force to replace it, or choose another folder with -o.",
                )

    def put(self, made: Mapping[str, Artifact], console: Console) -> dict[str, Path]:
        """Where each artifact's files are for the user: in the cache, or copied.

        Args:
            made: by the name of the folder for it.
            console: told where a copy was there already.

        Raises:
            OutputError: another one is there and --force wasn't typed, or a copy can't be written.
        """
        if self.folder is None:
            return {name: each.folder for name, each in made.items()}
        places = {name: self.folder / name for name in made}
        there = {name for name, each in made.items() if _is_copy(each, places[name])}
        # All or none: before the first is written.
        for name in made.keys() - there:
            self._refuse_other(places[name])
        for name, each in made.items():
            if name in there:
                console.say(f"{places[name]} is there already, with the same content")
            else:
                output_files.copy_out(each.folder, places[name])
        return places

    def _refuse_other(self, target: Path) -> None:
        _refuse_foreign(target)
        if not self.force and target.is_dir() and any(target.iterdir()):
            raise OutputError(
                f"Can't write {target}",
                why="It holds the result of another build.",
                hint="Add --force to replace it, or choose another folder with -o.",
            )


def _refuse_in_cache(folder: Path, cache: Path) -> None:
    if folder.resolve().is_relative_to(cache.resolve()):
        raise OutputError(
            f"Can't write {folder}", why="It is in the cache, which is qnn-sd's own.", hint="Choose another folder."
        )


def _refuse_foreign(target: Path) -> None:
    """Refuses what qnn-sd hasn't written, whatever was typed: it is never deleted."""
    where = "Choose another folder with -o."
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"Can't write {target}", why="It is a file.", hint=where)
    if Path.cwd().is_relative_to(target.resolve()):
        raise OutputError(
            f"Can't write {target}", why="It holds the folder that you are in.", hint="Choose a folder in it with -o."
        )
    written = _written(target)
    # The first will do: somebody's home is large.
    other = next((name for name in _files(target) if name not in written), None)
    if other is not None:
        raise OutputError(
            f"Can't write {target}", why=f"It holds what qnn-sd hasn't written, such as {other}.", hint=where
        )


def _files(folder: Path) -> Iterator[str]:
    """Everything in a folder but folders, relative to it; a link counts as what it is."""
    return (str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_symlink() or not each.is_dir())


def _written(folder: Path) -> set[str]:
    """The files that a folder's manifest tells of, and itself; none without one."""
    manifest = _manifest(folder)
    return set() if manifest is None else {MANIFEST, *manifest.files}


def _manifest(folder: Path) -> ArtifactManifest | None:
    """What a folder that qnn-sd wrote says of itself; None of another one."""
    try:
        return ArtifactManifest.model_validate_json((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _is_copy(made: Artifact, target: Path) -> bool:
    """Whether a folder holds the same files as an artifact, no more and no fewer."""
    names = set(_files(made.folder))
    if not target.is_dir() or set(_files(target)) != names:
        return False
    _same, different, errors = filecmp.cmpfiles(made.folder, target, names, shallow=False)
    return not different and not errors


def copies_options(content: str) -> Callable[[Command], Command]:
    """``-o``, a folder for copies, and ``--force``, handed on as ``copies``.

    Args:
        content: of the folder, for the help.
    """

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_copies(output: Path | None, force: bool, **rest: Any) -> Any:
            return command(copies=Copies(output, force), **rest)

        wrapped: Command = with_copies
        for each in (
            option(
                "--force",
                group=OUTPUT,
                is_flag=True,
                help="Replace what qnn-sd wrote into that folder; nothing else is ever replaced.",
            ),
            option(
                "-o",
                "--output",
                group=OUTPUT,
                type=click.Path(path_type=Path),
                metavar="FOLDER",
                default_text="the cache alone",
                help=f"Folder for a copy: {content}.",
            ),
        ):
            wrapped = each(wrapped)
        return wrapped

    return decorated


def stage_output(stage: Artifact, place: Path) -> StageOutput:
    """What the JSON document says of one component.

    Args:
        stage: what was made.
        place: the folder where its files are for the user.
    """
    return StageOutput(
        folder=str(place),
        bytes=sum(path.stat().st_size for path in place.iterdir()),
        seconds=round(stage.seconds, 3),
        cached=stage.cached,
    )


def bundle_files(folder: Path) -> dict[str, BuiltFile]:
    """The files of a bundle by their path in it, as its manifest has them.

    Args:
        folder: of the bundle.
    """
    manifest = ArtifactManifest.model_validate_json((folder / MANIFEST).read_text("utf-8"))
    return {
        name: BuiltFile(file=str(folder / name), bytes=each.bytes, sha256=each.sha256)
        for name, each in manifest.files.items()
    }


def image_size(model: ModelConfig) -> ImageSize:
    """Of a model's images."""
    return ImageSize(width=model.width, height=model.height)


def narrowed_remark(count: int, forms: str, profiles: Iterable[DeviceProfile]) -> str:
    """That what was compiled has fewer bits in some places than its QDQ graph.

    Args:
        count: of keys and values.
        forms: what was compiled, such as ``binaries``.
        profiles: the SoCs.
    """
    versions = ", ".join(f"v{arch}" for arch in sorted({each.htp_arch for each in profiles}))
    return (
        f"{count} keys and values of attention have 8 bits in the {forms} and 16 in the QDQ graphs: the HTP {versions} "
        "takes no others"
    )
