"""``-o`` and ``--force`` of the commands that build: what is copied, what is left alone, what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_here import CliHere

from qnn_sd import output_files
from qnn_sd.artifact import MANIFEST, Recipe, load_or_build
from qnn_sd.cli.stage_output import WHOLE, Copies
from qnn_sd.config import load_profile
from qnn_sd.console import Console
from qnn_sd.errors import OutputError, SettingError
from qnn_sd.pipeline import BuildPipeline

QUIET = Console(quiet=True)


def made(kept: Path, text: str) -> Any:
    def build(folder: Path) -> dict[str, Any]:
        (folder / "htp").mkdir()
        (folder / "htp" / "model.bin").write_text(text)
        return {}

    return load_or_build(kept, Recipe("bundle", "a", {}, {"text": text}, {}), build)


def content(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where copies go; beside it nothing may be left."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "bundle"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path / "out" if (tmp_path / "out").is_dir() else tmp_path)
    return tmp_path / "cache"


def put(place: Path, artifact: Any, kept: Path, force: bool = False) -> Path:
    copies = Copies(place, force)
    copies.check((WHOLE,), kept)
    return copies.put({WHOLE: artifact}, QUIET)[WHOLE]


def test_a_copy_is_whole_and_the_same_again_is_left_alone(place: Path, kept: Path) -> None:
    artifact = made(kept, "one")
    assert put(place, artifact, kept) == place
    assert content(place) == content(artifact.folder)
    before = place.stat().st_ino, (place / MANIFEST).stat().st_mtime_ns
    assert put(place, artifact, kept, force=True) == place
    assert (place.stat().st_ino, (place / MANIFEST).stat().st_mtime_ns) == before


def test_another_build_needs_force_and_leaves_nothing_behind(place: Path, kept: Path) -> None:
    put(place, made(kept, "one"), kept)
    before = content(place)
    with pytest.raises(OutputError, match="Can't write") as caught:
        put(place, made(kept, "two"), kept)
    assert caught.value.why == "It holds the result of another build."
    assert "--force" in caught.value.hint
    assert content(place) == before
    put(place, made(kept, "two"), kept, force=True)
    assert content(place)["htp/model.bin"] == b"two"
    assert [each.name for each in place.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["notes.txt", "htp/mine.bin", ".hidden", "new/folder/file"])
def test_what_somebody_put_there_is_never_deleted(name: str, place: Path, kept: Path) -> None:
    put(place, made(kept, "one"), kept)
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("mine")
    with pytest.raises(OutputError) as caught:
        put(place, made(kept, "two"), kept, force=True)
    assert caught.value.why == f"It holds what qnn-sd hasn't written, such as {name}."
    assert (place / name).read_text() == "mine"


def test_a_link_in_the_folder_is_foreign(place: Path, kept: Path, tmp_path: Path) -> None:
    put(place, made(kept, "one"), kept)
    (place / "away").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="Can't write"):
        put(place, made(kept, "two"), kept, force=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1", "files": {"notes.txt": {}}}'])
def test_a_foreign_manifest_makes_no_folder_ours(text: str, place: Path, kept: Path) -> None:
    place.mkdir()
    (place / MANIFEST).write_text(text)
    with pytest.raises(OutputError, match="Can't write"):
        put(place, made(kept, "one"), kept, force=True)
    assert (place / MANIFEST).read_text() == text


def test_a_damaged_copy_is_replaced_with_force_alone(place: Path, kept: Path) -> None:
    artifact = made(kept, "one")
    put(place, artifact, kept)
    (place / "htp" / "model.bin").write_text("cut")
    with pytest.raises(OutputError):
        put(place, artifact, kept)
    put(place, artifact, kept, force=True)
    assert content(place) == content(artifact.folder)


def test_an_empty_folder_is_filled(place: Path, kept: Path) -> None:
    place.mkdir()
    put(place, made(kept, "one"), kept)
    assert content(place)["htp/model.bin"] == b"one"


def test_a_link_stays_and_its_folder_is_written(place: Path, kept: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    place.symlink_to(real)
    for text in ("one", "two"):
        put(place, made(kept, text), kept, force=True)
        assert place.is_symlink()
        assert content(real)["htp/model.bin"] == text.encode()


def hostile(tmp_path: Path, kept: Path) -> Iterator[tuple[Path, str]]:
    yield Path("/"), "It holds the folder that you are in."
    yield Path(), "It holds the folder that you are in."
    yield Path(".."), "It holds the folder that you are in."
    yield tmp_path / "file", "It is a file."
    yield tmp_path / "file" / "below", "Not a directory"
    yield tmp_path / "home", "It holds what qnn-sd hasn't written, such as letter."
    yield kept, "It is in the cache, which is qnn-sd's own."
    yield kept / "mine", "It is in the cache, which is qnn-sd's own."
    yield tmp_path / "to-cache", "It is in the cache, which is qnn-sd's own."


def test_hostile_places_are_refused_before_any_work(tmp_path: Path, place: Path, kept: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("mine")
    kept.mkdir()
    (tmp_path / "to-cache").symlink_to(kept)
    for force in (False, True):
        for path, why in hostile(tmp_path, kept):
            with pytest.raises(OutputError) as caught:
                Copies(path, force).check((WHOLE,), kept)
            assert caught.value.why == why, path
    assert (tmp_path / "file").read_text() == (tmp_path / "home" / "letter").read_text() == "mine"
    assert not any(kept.iterdir())


def test_a_read_only_place_is_refused_and_a_failed_copy_leaves_the_former(
    place: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="Can't write"):
        Copies(Path("/sys/bundle"), False).check((WHOLE,), kept)
    put(place, made(kept, "one"), kept)
    before = content(place)
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OutputError, match="Can't write"):
        output_files.copy_out(made(kept, "two").folder, place)
    assert content(place) == before
    assert [each.name for each in place.parent.iterdir()] == ["bundle"]


def test_force_alone_means_nothing(kept: Path) -> None:
    with pytest.raises(SettingError, match="--force has no meaning without -o"):
        Copies(None, True).check((WHOLE,), kept)


def test_several_are_copied_or_none(place: Path, kept: Path) -> None:
    first, second = made(kept, "one"), made(kept, "two")
    Copies(place, False).put({"b": first}, QUIET)
    with pytest.raises(OutputError):
        Copies(place, False).put({"a": first, "b": second}, QUIET)
    assert [each.name for each in place.iterdir()] == ["b"]


def test_compile_tells_where_each_binary_lies(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    kept = pipeline.bundle(load_profile("sm8650")).folder
    in_cache = cli_here.json("compile", "--soc", "8gen3")
    assert in_cache["folder"] == str(kept)
    copied = cli_here.json("compile", "--soc", "8gen3", "-o", "bundle")
    folder = cli_here.folder / "bundle"
    assert copied["folder"] == "bundle"
    assert content(folder) == content(kept)
    for document, place in ((in_cache, kept), (copied, folder)):
        for name, component in document["components"].items():
            parts = {key: component[key] for key in ("context_binary", "epcontext_model", "qdq_model", "qdq_weights")}
            for part in parts.values():
                file = cli_here.folder / part["file"]
                assert file.is_relative_to(place)
                assert file.stat().st_size == part["bytes"]
                assert hashlib.sha256(file.read_bytes()).hexdigest() == part["sha256"]
            assert component["bytes"] == parts["context_binary"]["bytes"]
            names = [Path(part["file"]).relative_to(document["folder"]) for part in parts.values()]
            assert [str(each.parent) for each in names] == [f"{name}/htp"] * 2 + [f"{name}/cpu"] * 2
    again = cli_here("compile", "--soc", "sm8650", "-o", "bundle")
    assert "bundle is there already, with the same content" in again.stderr
    assert f"bundle{os.sep}unet{os.sep}htp{os.sep}model_ctx_qnn.bin" in again.stdout
    refused = cli_here.refused(30, "compile", "--soc", "sm8650", "--no-verify", "-o", "bundle")
    assert "Add --force to replace it" in refused
    assert json.loads((folder / "bundle.json").read_text())["verification"]
