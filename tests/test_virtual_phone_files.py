"""Files to and from the virtual phone with the real adb, and what no path can reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from adb_host import FIVE_MB, PhoneOnAdb, noise

# Files that go and come


def test_push_and_pull_of_folders_with_modes_times_and_odd_names(
    phone: PhoneOnAdb, folder: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "sub folder" / "empty folder").mkdir(parents=True)
    names = ["empty", "a b", "ünïcödé ☃", "-dash", "star*", "quote'\"", "sub folder/inner", "five MB"]
    for index, name in enumerate(names):
        (source / name).write_bytes(b"" if name == "empty" else noise(FIVE_MB if name == "five MB" else 1000 + index))
        os.utime(source / name, (1_500_000_000 + index,) * 2)
    (source / "a b").chmod(0o755)
    (source / "link").symlink_to("a b")
    phone.adb("push", "-a", str(source), folder)
    phone.adb("pull", "-a", f"{folder}/source", str(tmp_path / "back"))
    for name in names:
        there, back = phone.tmp / folder.rpartition("/")[2] / "source" / name, tmp_path / "back" / name
        assert there.read_bytes() == back.read_bytes() == (source / name).read_bytes()
        assert there.stat().st_mtime == back.stat().st_mtime == (source / name).stat().st_mtime
    # adbd gives the owner's rights to all.
    assert phone.shell(f"stat -c %a '{folder}/source/a b' {folder}/source/empty") == "777\n666\n"
    assert phone.shell(f"readlink {folder}/source/link") == "a b\n"
    assert (tmp_path / "back" / "sub folder" / "inner").is_file()


def test_push_into_a_folder_that_is_missing_and_over_a_file(phone: PhoneOnAdb, folder: str, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"first, and longer")
    (tmp_path / "two").write_bytes(b"second")
    phone.adb("push", str(tmp_path / "one"), f"{folder}/new/deep/file")
    phone.adb("push", str(tmp_path / "two"), f"{folder}/new/deep/file")
    assert phone.shell(f"cat {folder}/new/deep/file") == "second"
    phone.adb("push", "-n", str(tmp_path / "one"), f"{folder}/dry")
    assert "No such file" in phone.fails("shell", f"ls {folder}/dry")
    again = phone.bytes("push", "--sync", str(tmp_path / "two"), f"{folder}/new/deep/file")
    assert b"0 files pushed, 1 skipped" in again.stderr


def test_adbutils_sync(phone: PhoneOnAdb, folder: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(data := noise(300_000))
    sync = phone.device.sync
    assert sync.push(tmp_path / "local", f"{folder}/remote", mode=0o640) == len(data)
    assert sync.read_bytes(f"{folder}/remote") == data
    status = sync.stat(f"{folder}/remote")
    assert (status.size, status.mode & 0o777) == (len(data), 0o666)
    assert {entry.path for entry in sync.list(folder)} == {".", "..", "remote"}
    assert sync.exists(f"{folder}/remote")
    assert not sync.exists(f"{folder}/nope")
    sync.pull(f"{folder}/remote", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_adb_ls_and_what_cannot_be_pulled_or_pushed(phone: PhoneOnAdb, folder: str, tmp_path: Path) -> None:
    phone.shell(f"cd {folder}; echo 12345 > f")
    modes = {line.split()[-1]: line.split()[:2] for line in phone.adb("ls", folder).splitlines()}
    assert modes["f"] == [f"{0o100666:08x}", f"{6:08x}"]
    assert "No such file or directory" in phone.fails("pull", f"{folder}/nope", str(tmp_path))
    (tmp_path / "x").write_text("x")
    assert "couldn't create file: Read-only file system" in phone.fails("push", str(tmp_path / "x"), "/system/x")
    assert "couldn't create file: Permission denied" in phone.fails("push", str(tmp_path / "x"), "/data/x")
    assert "secure_mkdirs() failed: Read-only file system" in phone.fails("push", str(tmp_path / "x"), "/new/x")


# What no path can reach


def test_paths_and_links_stay_inside_the_phone(phone: PhoneOnAdb, folder: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    inside = phone.root / folder[1:]
    (inside / "made by the host").symlink_to(tmp_path)
    up = "../" * 30
    for path in (str(secret), f"{up}{secret}", f"{folder}/link", f"{folder}/up", f"{folder}/made by the host/secret"):
        phone.shell(f"cd {folder}; ln -sf {secret} link; ln -sf {up}{secret} up")
        assert "No such file or directory" in phone.fails("shell", f"cd {folder}; cat '{path}'")
        assert "No such file or directory" in phone.fails("pull", path, str(tmp_path / "pulled"))
        phone.bytes("shell", f"cd {folder}; echo broken > '{path}'; rm -rf '{path}'; chmod 777 '{path}'; mv f '{path}'")
        phone.bytes("push", __file__, path)
    assert secret.read_text() == "the host's"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    # /.. is /, as everywhere.
    assert phone.shell("ls /../..") == phone.shell("ls /")
    assert "Too many" in phone.fails("shell", f"cd {folder}; ln -s b a; ln -s a b; cat a")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo x > /system/f", "Read-only file system"),
        ("mkdir /f", "Read-only file system"),
        ("rm -rf /sys", "Read-only file system"),
        ("touch /proc/meminfo", "Read-only file system"),
        ("echo x > /data/f", "Permission denied"),
        ("rm -rf /data/local/tmp", "Permission denied"),
        ("mv /data/local/tmp /sdcard/x", "Permission denied"),
        ("ls /data", "Permission denied"),
        ("cp -r /data /sdcard", "Permission denied"),
        ("cd /sdcard; mv /vendor .", "Read-only file system"),
        ("ln -s x /vendor/x", "Read-only file system"),
        ("find /system -delete", "Read-only file system"),
    ],
)
def test_only_two_places_can_be_written(phone: PhoneOnAdb, script: str, reason: str) -> None:
    assert reason in phone.fails("shell", script)
    assert phone.shell("ls -d /system /vendor /proc/meminfo /data/local/tmp").count("\n") == 4
