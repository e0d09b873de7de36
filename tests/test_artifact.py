"""Artifacts: cached by recipe, whole or absent, held against their manifest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qnn_sd import artifact, resources
from qnn_sd.artifact import Recipe, artifact_folder, last_seconds, load, load_or_build
from qnn_sd.artifact_manifest import Work
from qnn_sd.errors import ArtifactError, OutputError
from qnn_sd.output_files import probe_writable, written_aside

RECIPE = Recipe("export", "model.part", {"config.json": "ab"}, {"height": 64}, {"tool": "1"})


def build(folder: Path) -> dict[str, int]:
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "sub").mkdir()
    (folder / "sub" / "weights.bin").write_bytes(bytes(1000))
    return {"parameters": 7}


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.name.endswith(".part")]


def test_the_same_recipe_is_built_once(tmp_path: Path) -> None:
    calls = []

    def counted(folder: Path) -> dict[str, int]:
        calls.append(1)
        return build(folder)

    first, second = load_or_build(tmp_path, RECIPE, counted), load_or_build(tmp_path, RECIPE, counted)
    assert len(calls) == 1
    assert (first.cached, second.cached) == (False, True)
    assert first.folder == second.folder
    assert second.metadata == {"parameters": 7}
    assert second.file("sub/weights.bin").stat().st_size == 1000


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, inputs={"config.json": "cd"}),
        replace(RECIPE, settings={"height": 128}),
        replace(RECIPE, tools={"tool": "2"}),
        replace(RECIPE, name="model.other"),
    ],
)
def test_any_change_is_another_artifact(other: Recipe, tmp_path: Path) -> None:
    assert other.key != RECIPE.key
    load_or_build(tmp_path, RECIPE, build)
    assert not load_or_build(tmp_path, other, build).cached


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_stage_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    def broken(folder: Path) -> dict[str, int]:
        build(folder)
        raise error

    with pytest.raises(error):
        load_or_build(tmp_path, RECIPE, broken)
    assert not artifact_folder(tmp_path, RECIPE).exists()
    assert leftovers(tmp_path) == []


def test_what_a_killed_builder_left_is_swept(tmp_path: Path) -> None:
    """A folder that nobody holds any more goes; one in work, however long it takes, stays."""
    stage = tmp_path / RECIPE.stage
    hour_ago = time.time() - 3600
    for name in ("killed", "working", "just-made"):
        (stage / f".{name}.part").mkdir(parents=True)
        (stage / f".{name}.part" / "weights.bin").write_bytes(b"half")
    for name in ("killed", "working"):
        for path in (stage / f".{name}.part" / "weights.bin", stage / f".{name}.part"):
            os.utime(path, (hour_ago, hour_ago))
    holder = os.open(stage / ".working.part", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    load_or_build(tmp_path, RECIPE, build)
    assert sorted(leftovers(tmp_path)) == [".just-made.part", ".working.part"]
    os.close(holder)
    load_or_build(tmp_path, replace(RECIPE, name="another"), build)
    assert leftovers(tmp_path) == [".just-made.part"]


def test_a_builder_holds_its_folder(tmp_path: Path) -> None:
    def looked_at(folder: Path) -> dict[str, int]:
        handle = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        return build(folder)

    load_or_build(tmp_path, RECIPE, looked_at)


def test_two_builders_at_once_agree(tmp_path: Path) -> None:
    """Both build, one renames first, the other takes what is there."""
    barrier = threading.Barrier(2, timeout=30)
    results = []

    def slow(folder: Path) -> dict[str, int]:
        barrier.wait()
        return build(folder)

    threads = [threading.Thread(target=lambda: results.append(load_or_build(tmp_path, RECIPE, slow))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({result.folder for result in results}) == 1
    assert len(results) == 2
    load(results[0].folder)
    assert leftovers(tmp_path) == []


def test_a_stages_code_is_part_of_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed stage never answers with what its former self made."""
    package = tmp_path / "qnn_sd"
    (package / "export" / "blocks").mkdir(parents=True)
    block, other = package / "export" / "blocks" / "norm.py", package / "cli.py"
    block.write_text("1")
    other.write_text("1")
    monkeypatch.setattr(resources, "PACKAGE", package)
    digest = resources.code_digest.__wrapped__
    before = digest("export")
    other.write_text("2")
    assert digest("export") == before
    block.write_text("2")
    assert digest("export") != before


WORK = Work(variant="adaround", component="part", pixels=4096, parameters={"part": 7}, calls={"ranges": 3})


@pytest.mark.parametrize(
    "other",
    [
        {"variant": "nearest"},
        {"component": "another"},
        {"pixels": 16384},
        {"parameters": {"part": 8}},
        {"calls": {"ranges": 4}},
        {"detail": "sm8550"},
    ],
)
def test_only_the_same_work_says_how_long_it_takes(other: dict[str, object], tmp_path: Path) -> None:
    """Other weights and versions don't change it; another rounding, component, size or number of samples does."""
    made = load_or_build(tmp_path, replace(RECIPE, work=WORK), build)
    again = replace(RECIPE, name="other.part", inputs={"config.json": "cd"}, tools={"tool": "2"})
    assert last_seconds(tmp_path, replace(again, work=WORK)) == pytest.approx(made.seconds, abs=0.001)
    assert last_seconds(tmp_path, replace(again, work=WORK.model_copy(update=other))) is None
    assert last_seconds(tmp_path, again) is None
    assert last_seconds(tmp_path, replace(again, stage="quantize", work=WORK)) is None


def test_what_took_its_time_on_other_cores_or_in_parts_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, work=WORK)

    def cut_off(folder: Path) -> dict[str, int]:
        (folder / "unit").write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        load_or_build(tmp_path, recipe, cut_off, resumable=True)
    load_or_build(tmp_path, recipe, build, resumable=True)
    assert last_seconds(tmp_path, recipe) is None
    whole = replace(recipe, settings={"height": 128})
    load_or_build(tmp_path, whole, build, resumable=True)
    assert last_seconds(tmp_path, recipe) is not None
    monkeypatch.setattr(artifact, "usable_cores", lambda: [0] * 64)
    assert last_seconds(tmp_path, recipe) is None


def test_the_newest_time_counts(tmp_path: Path) -> None:
    recipe = replace(RECIPE, work=WORK)
    for number, seconds in enumerate((3.0, 1.0, 2.0)):
        made = load_or_build(tmp_path, replace(recipe, settings={"height": number}), build)
        manifest = made.folder / "manifest.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text("utf-8")), "seconds": seconds}))
        os.utime(manifest, (1000 - number, 1000 - number))
    assert last_seconds(tmp_path, recipe) == 3.0


def test_bytes_are_counted_as_they_are_read(tmp_path: Path) -> None:
    """Also of a file that was read before: a bar must come to its end."""
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(10_000_000))
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    for _ in range(2):
        counts: list[int] = []
        assert artifact.sha256_of_file(path, counts.append) == hashlib.sha256(bytes(10_000_000)).hexdigest()
        assert sum(counts) == 10_000_000


def test_only_what_was_not_read_is_ahead(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(10_000))
    os.utime(path, (time.time() - 3600,) * 2)
    assert artifact.unread_bytes(path) == 10_000
    artifact.sha256_of_file(path)
    assert artifact.unread_bytes(path) == 0
    path.write_bytes(bytes(20_000))
    assert artifact.unread_bytes(path) == 20_000


def test_a_plan_reads_no_file_but_misses_none(tmp_path: Path) -> None:
    made = load_or_build(tmp_path, RECIPE, build)
    (made.folder / "sub" / "weights.bin").write_bytes(b"x" * 1000)
    assert load(made.folder, RECIPE, hashes=False).cached
    with pytest.raises(ArtifactError, match="is damaged"):
        load(made.folder, RECIPE)
    (made.folder / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        load(made.folder, RECIPE, hashes=False)


def test_damage_is_named(tmp_path: Path) -> None:
    folder = load_or_build(tmp_path, RECIPE, build).folder
    weights = folder / "sub" / "weights.bin"
    weights.write_bytes(bytes(999))
    with pytest.raises(ArtifactError, match=r"weights\.bin is damaged") as caught:
        load(folder)
    assert "999 bytes, the manifest says 1,000" in caught.value.why
    weights.write_bytes(bytes(999) + b"x")
    with pytest.raises(ArtifactError, match=r"weights\.bin is damaged") as caught:
        load(folder)
    assert "SHA-256" in caught.value.why
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"weights\.bin is missing"):
        load_or_build(tmp_path, RECIPE, build)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "a"}', '{"key": "a", "files": {"x": {}}}'])
def test_unreadable_manifests_are_refused(text: str, tmp_path: Path) -> None:
    folder = load_or_build(tmp_path, RECIPE, build).folder
    (folder / artifact.MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="can't be read"):
        load(folder)


def test_a_manifest_may_not_name_files_outside(tmp_path: Path) -> None:
    folder = load_or_build(tmp_path, RECIPE, build).folder
    manifest = json.loads((folder / artifact.MANIFEST).read_text())
    manifest["files"]["../../secret"] = {"bytes": 1, "sha256": "0"}
    (folder / artifact.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="names a file outside it"):
        load(folder)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with written_aside(path) as aside:
            aside.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
    with written_aside(path) as aside:
        aside.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "folder" / "real.png", tmp_path / "out.png"
    real.parent.mkdir()
    for content in (b"first", b"second"):  # the link leads nowhere at first
        link.unlink(missing_ok=True)
        link.symlink_to(Path("folder") / "real.png")
        probe_writable(link)
        with written_aside(link) as aside:
            aside.write_bytes(content)
        assert link.is_symlink()
        assert real.read_bytes() == content
    link.unlink()
    link.symlink_to("/nowhere/at/all.png")
    with pytest.raises(OutputError, match=r"Can't write .*out\.png"):
        probe_writable(link)


def test_an_artifact_of_another_version_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    folder = load_or_build(tmp_path, RECIPE, build).folder
    manifest = json.loads((folder / artifact.MANIFEST).read_text())
    assert artifact.is_current(folder)
    del manifest["schema"]
    for version in ({"format": 2}, {"schema": "qnn-sd/artifact/0"}):
        (folder / artifact.MANIFEST).write_text(json.dumps({**version, **manifest}))
        assert not artifact.is_current(folder)
        with pytest.raises(ArtifactError, match="was made by another version of qnn-sd") as caught:
            load(folder)
        assert str(*version.values()) in caught.value.why
        assert "made anew" in caught.value.hint
    (folder / artifact.MANIFEST).write_text("{")
    assert artifact.is_current(folder), "damaged, which is said when it is opened"


@pytest.mark.parametrize("folder", ["/sys", "/nowhere/at/all"])
def test_folders_that_cannot_be_written_are_told_early(folder: str) -> None:
    with pytest.raises(OutputError, match="Can't write"):
        probe_writable(Path(folder) / "out.png")


def test_an_artifact_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    """A copied or renamed folder: all its hashes are right, and it is something else."""

    def build(folder: Path) -> dict[str, object]:
        (folder / "a.txt").write_text("a")
        return {}

    other = replace(RECIPE, name="another")
    shutil.copytree(load_or_build(tmp_path, other, build).folder, artifact_folder(tmp_path, RECIPE))
    with pytest.raises(ArtifactError, match="holds another artifact") as caught:
        load_or_build(tmp_path, RECIPE, build)
    assert "another" in caught.value.why


def test_a_manifest_without_a_schema_is_not_read(tmp_path: Path) -> None:
    made = load_or_build(tmp_path, RECIPE, lambda _folder: {})
    content = json.loads((made.folder / "manifest.json").read_text())
    del content["schema"]
    (made.folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="can't be read"):
        load(made.folder)
