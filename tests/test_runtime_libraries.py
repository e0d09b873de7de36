"""The phone's runtime libraries: fetched from a Maven repository on loopback, held, unpacked, picked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import maven_repository
import numpy as np
import onnx
import pytest
from conftest import Cli, json_document
from graphs import quantized
from maven_repository import PLUGIN, Repository, aar, jni, library
from onnx import TensorProto, helper

from qnn_sd import runtime_libraries
from qnn_sd.artifact import sha256_of_file
from qnn_sd.compile import compile_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.console import Console
from qnn_sd.errors import (
    ArtifactError,
    ConfigError,
    DownloadError,
    IntegrityError,
    RuntimeLibraryError,
    SettingError,
)
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.installation import install_extra
from qnn_sd.runtime_libraries import pins, unpack_aar
from qnn_sd.runtime_libraries.recorded_hashes import hash_record_file
from qnn_sd.runtime_libraries.repository import open_repository
from qnn_sd.toolchain import load_toolchains

QNN = "com.qualcomm.qti:qnn-runtime:2.50.0"
QNN_PATH = maven_repository.coordinate_path(QNN)
QUIET = Console(quiet=True)


@pytest.fixture
def libraries(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, data folder and jgo settings of the test's own, and no proxy; returns the cache."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QNN_SD_CACHE", str(folder / "cache"))
    monkeypatch.setenv("QNN_SD_DATA", str(folder / "data"))
    monkeypatch.setenv("JGO_CONFIG_FILE", str(folder / "jgo.conf"))
    return folder / "cache"


@pytest.fixture
def command(libraries: Path, tmp_path: Path) -> Cli:
    """The command, with the same folders."""
    return Cli(libraries, tmp_path)


@pytest.fixture
def repository() -> Iterator[Repository]:
    with maven_repository.serve() as serving:
        yield serving


def fetch(
    repository: Repository, cache: Path, sdk: runtime_libraries.QairtSdk | None = None
) -> runtime_libraries.FetchResult:
    return runtime_libraries.fetch(pins.load_pins().for_qairt("2.50"), repository.url, cache, QUIET, sdk)


def qnn_of(done: runtime_libraries.FetchResult) -> runtime_libraries.ArtifactFile:
    return next(each for each in done.sources if each.pin.coordinate == QNN)


# --- the command


def test_fetch_unpacks_what_a_phone_needs_and_list_shows_it(command: Cli, repository: Repository) -> None:
    document = command.json("runtime", "fetch", "--qairt", "2.50", "--repository", repository.url)
    folder = Path(document["folder"])
    written = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".so"}
    halves = {f"libQnnHtpV{arch}{half}.so" for arch in (73, 75) for half in ("Stub", "Skel")}
    core = {"libonnxruntime.so", "libonnxruntime4j_jni.so"}
    assert set(written) == {"libQnnHtp.so", "libQnnSystem.so", PLUGIN} | halves | core
    assert written == {name: library(name) for name in written}
    assert document["libraries"][PLUGIN] == "com.qualcomm.qti:onnxruntime-android-qnn:2.6.0"
    assert (document["qairt"], document["plugin"], document["htp_archs"]) == ("2.50.0", PLUGIN, [73, 75])
    assert all(entry["downloaded"] and entry["hash_source"] == "recorded now" for entry in document["artifacts"])
    assert all(entry["repository_checksums"] == ["sha1"] for entry in document["artifacts"])
    listed = command.json("runtime", "list")
    assert listed["fetched"] == [{"qairt": "2.50.0", "folder": str(folder), "htp_archs": [73, 75]}]
    assert [entry["qairt"] for entry in listed["published"]] == ["2.48.0", "2.50.0"]
    assert "QAIRT 2.50.0 for HTP v73, v75" in command("runtime", "list").stdout


def test_libraries_of_an_earlier_version_are_made_anew_without_a_download(command: Cli, repository: Repository) -> None:
    folder = Path(command.json("runtime", "fetch", "--repository", repository.url)["folder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["schema"]
    (folder / "manifest.json").write_text(json.dumps({"format": 2, **manifest}))
    earlier = folder.rename(folder.with_name(f"{folder.name[:-12]}{'0' * 12}"))
    assert command.json("runtime", "list")["fetched"] == []
    again = command.json("runtime", "fetch", "--repository", repository.url)
    assert (again["folder"], again["cached"]) == (str(folder), False)
    assert not any(each["downloaded"] for each in again["artifacts"])
    assert [each["folder"] for each in command.json("runtime", "list")["fetched"]] == [str(folder)]
    assert earlier.is_dir()


def test_a_second_fetch_asks_the_repository_for_nothing(command: Cli, repository: Repository) -> None:
    first = command("runtime", "fetch", "--repository", repository.url)
    assert first.returncode == 0, first.stderr
    assert f"warning: {QNN} is not yet pinned" in first.stderr
    assert "agrees with the repository's own sha1" in first.stderr
    assert "MB/s" in first.stderr
    repository.asked.clear()
    again = command("runtime", "fetch", "--repository", repository.url)
    assert again.returncode == 0
    assert "not yet pinned" not in again.stderr
    assert "its first fetch" in again.stdout
    assert "was here" in again.stdout
    assert repository.asked == []


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (3, ("--qairt", "2.51"), "Did you mean 2.50.0?"),
        (3, ("--repository", "cental"), "Did you mean central?"),
        (3, ("--repository", "ftp://user:secret@host/x"), "'ftp://host/x' is no repository"),
        (16, ("--repository", "http://127.0.0.1:9/maven2"), "can't be reached"),
        (18, ("--qairt-sdk", "nowhere"), "nowhere is no QAIRT SDK"),
        (2, ("--version", "2"), "There is no option --version"),
    ],
)
def test_bad_arguments_have_their_own_codes(code: int, arguments: tuple[str, ...], message: str, command: Cli) -> None:
    said = command.refused(code, "runtime", "fetch", *arguments)
    assert message in said
    assert "secret" not in said


def test_what_the_repository_does_not_have_is_named(command: Cli, repository: Repository) -> None:
    del repository.files[QNN_PATH]
    said = command.refused(16, "runtime", "fetch", "--repository", repository.url)
    assert f"{QNN_PATH} isn't in the repository" in said
    assert "--qairt-sdk" in said


def test_a_full_disk_is_told_and_the_next_fetch_succeeds(command: Cli, repository: Repository) -> None:
    """The kernel refuses to let a file grow past 50 kB, as a full disk would refuse it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    arguments = ("runtime", "fetch", "--repository", repository.url)
    message = command.refused(30, *arguments, preexec_fn=limit)
    assert "Can't write" in message
    assert "QNN_SD_CACHE" in message
    assert command.json(*arguments)["htp_archs"] == [73, 75]


def test_a_read_only_folder_is_told(command: Cli, repository: Repository) -> None:
    arguments = ("runtime", "fetch", "--repository", repository.url)
    said = command.refused(30, *arguments, environment={"QNN_SD_CACHE": "/sys/cache"})
    assert "Can't write /sys/cache" in said
    said = command.refused(30, *arguments, environment={"QNN_SD_DATA": "/sys/data"})
    assert "Set QNN_SD_DATA" in said


# --- downloads


def test_a_cut_download_goes_on_where_it_stopped(repository: Repository, libraries: Path) -> None:
    repository.cut_after = 100_000
    with pytest.raises(DownloadError, match="was interrupted") as caught:
        fetch(repository, libraries)
    assert "resumes where this one stopped" in caught.value.hint
    part = libraries / "downloads" / "qnn-runtime-2.50.0.aar.part"
    got = part.stat().st_size
    assert 50_000 < got <= 100_000
    assert not part.with_suffix("").exists()
    repository.cut_after = None
    done = qnn_of(fetch(repository, libraries))
    assert repository.asked_for(QNN_PATH) == [None, f"bytes={got}-"]
    assert done.path.read_bytes() == repository.files[QNN_PATH]
    assert not part.exists()


def test_a_server_that_does_not_resume_is_asked_for_all(repository: Repository, libraries: Path) -> None:
    repository.cut_after, repository.resumes = 100_000, False
    with pytest.raises(DownloadError, match="was interrupted"):
        fetch(repository, libraries)
    repository.cut_after = None
    assert qnn_of(fetch(repository, libraries)).path.read_bytes() == repository.files[QNN_PATH]


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_a_download_that_was_killed_at_its_end(extra: bytes, repository: Repository, libraries: Path) -> None:
    part = libraries / "downloads" / "qnn-runtime-2.50.0.aar.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(repository.files[QNN_PATH] + extra)
    assert qnn_of(fetch(repository, libraries)).path.read_bytes() == repository.files[QNN_PATH]
    size = len(repository.files[QNN_PATH] + extra)
    assert repository.asked_for(QNN_PATH) == [f"bytes={size}-", *([None] if extra else [])]


def test_what_nothing_vouches_for_is_not_resumed(repository: Repository, libraries: Path) -> None:
    """Without a checksum and a pin, two halves of different files would pass for one."""
    repository.checksums, repository.cut_after = (), 100_000
    with pytest.raises(DownloadError, match="was interrupted"):
        fetch(repository, libraries)
    repository.cut_after = None
    assert qnn_of(fetch(repository, libraries)).repository_checksums == ()
    assert repository.asked_for(QNN_PATH) == [None, None]


def test_halves_of_different_files_are_refused(repository: Repository, libraries: Path) -> None:
    repository.cut_after = 100_000
    with pytest.raises(DownloadError, match="was interrupted"):
        fetch(repository, libraries)
    repository.files[QNN_PATH] = aar(jni("libQnnHtp.so")) + library("another", 200_000)
    repository.cut_after = None
    with pytest.raises(IntegrityError, match="is not the file that was expected"):
        fetch(repository, libraries)
    assert not (libraries / "downloads" / "qnn-runtime-2.50.0.aar.part").exists()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_checksum_that_lies_is_refused(algorithm: str, repository: Repository, libraries: Path) -> None:
    wrong = "0" * (40 if algorithm == "sha1" else 64)
    repository.files[f"{QNN_PATH}.{algorithm}"] = wrong.encode()
    right = hashlib.new(algorithm, repository.files[QNN_PATH]).hexdigest()
    with pytest.raises(IntegrityError) as caught:
        fetch(repository, libraries)
    assert f"{algorithm} is {right}; the repository's own checksum is {wrong}" in caught.value.why
    assert not list(libraries.glob("runtime/*"))
    assert not hash_record_file().exists()


def test_a_checksum_file_that_is_a_page_is_refused(repository: Repository, libraries: Path) -> None:
    repository.files[f"{QNN_PATH}.sha1"] = b"<html>Sign in to the network</html>"
    with pytest.raises(IntegrityError, match="has no checksum in it"):
        fetch(repository, libraries)


def test_both_checksums_are_held_where_there_are_two(repository: Repository, libraries: Path) -> None:
    repository.checksums = ("sha256", "sha1")
    assert qnn_of(fetch(repository, libraries)).repository_checksums == ("sha256", "sha1")


def test_a_file_changed_under_its_version_is_refused(repository: Repository, libraries: Path) -> None:
    """Not yet pinned: recorded at the first fetch, then held, even if the cache is gone."""
    first = qnn_of(fetch(repository, libraries))
    assert first.hash_source == "recorded now"
    assert json.loads(hash_record_file().read_text())[QNN] == first.sha256
    before = {path: path.read_bytes() for path in libraries.rglob("*") if path.is_file()}
    repository.files[QNN_PATH] = aar(jni("libQnnHtp.so", "libQnnSystem.so"))
    changed = hashlib.sha256(repository.files[QNN_PATH]).hexdigest()
    with pytest.raises(IntegrityError) as caught:
        fetch(repository, libraries.with_name("another cache"))
    assert f"sha256 is {changed}" in caught.value.why
    assert f"is {first.sha256}" in caught.value.why
    assert str(hash_record_file()) in caught.value.why
    assert {path: path.read_bytes() for path in libraries.rglob("*") if path.is_file()} == before


def test_a_damaged_download_is_fetched_again(
    repository: Repository, libraries: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = qnn_of(fetch(repository, libraries)).path
    os.truncate(path, 1000)
    again = qnn_of(runtime_libraries.fetch(pins.load_pins().newest, repository.url, libraries, Console()))
    assert (again.hash_source, again.downloaded) == ("recorded earlier", True)
    assert path.read_bytes() == repository.files[QNN_PATH]
    assert "fetching it again" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_not_forgotten(repository: Repository, libraries: Path) -> None:
    hash_record_file().parent.mkdir(parents=True)
    hash_record_file().write_text('{"a:b:1": "short"}')
    with pytest.raises(ConfigError, match=r"runtime_hashes\.json can't be read"):
        fetch(repository, libraries)
    assert repository.asked == []


def test_proxies_are_honoured(repository: Repository, libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that only the proxy knows: the server on loopback plays the proxy."""
    monkeypatch.setenv("HTTP_PROXY", repository.url.removesuffix("/maven2"))
    monkeypatch.setenv("NO_PROXY", "")
    runtime_libraries.fetch(pins.load_pins().newest, "http://maven.invalid/maven2", libraries, QUIET)
    assert set(repository.hosts) == {"maven.invalid"}


def test_a_name_from_jgos_settings_is_a_repository(repository: Repository, libraries: Path) -> None:
    libraries.with_name("jgo.conf").write_text(f"[repositories]\nmirror = {repository.url}/\n")
    assert (
        runtime_libraries.fetch(pins.load_pins().newest, "mirror", libraries, QUIET).artifact.metadata["qairt"]
        == "2.50.0"
    )
    assert open_repository(pins.load_pins().repository).url.startswith("https://")


def test_a_password_in_the_address_is_never_shown(repository: Repository, libraries: Path) -> None:
    with_password = repository.url.replace("//", "//name:secret@")
    repository.files.clear()
    for address in (with_password, "http://name:secret@127.0.0.1:9/maven2"):
        with pytest.raises(DownloadError) as caught:
            runtime_libraries.fetch(pins.load_pins().newest, address, libraries, QUIET)
        assert "secret" not in str(caught.value)


def test_a_second_fetch_waits_for_the_first(command: Cli, repository: Repository, libraries: Path) -> None:
    (libraries / "downloads").mkdir(parents=True)
    with (libraries / "downloads" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        process = command.start("runtime", "fetch", "--repository", repository.url)
        assert process.stderr is not None
        assert "waiting for another qnn-sd" in process.stderr.readline()
        assert repository.asked == []
    with process:
        said = process.stderr.read()
    assert process.returncode == 0, said


def test_ctrl_c_keeps_what_came(command: Cli, repository: Repository, libraries: Path) -> None:
    repository.holding = QNN_PATH
    with command.start("runtime", "fetch", "--repository", repository.url) as process:
        assert process.stderr is not None
        assert any("qnn-runtime-2.50.0.aar (" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not list(libraries.glob("runtime/qairt*"))
    assert not (libraries / "downloads" / "qnn-runtime-2.50.0.aar").exists()
    repository.holding = ""
    assert qnn_of(fetch(repository, libraries)).path.read_bytes() == repository.files[QNN_PATH]


def test_without_jgo_the_message_says_what_to_install(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.config", None)
    with pytest.raises(DownloadError) as caught:
        runtime_libraries.fetch(pins.load_pins().newest, "central", libraries, QUIET)
    assert f"{install_extra('phone')}." in caught.value.hint


def test_no_other_command_needs_jgo() -> None:
    code = "import sys, qnn_sd.cli.app; sys.exit('jgo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- archives


@pytest.mark.parametrize(
    "name",
    [
        "../libQnnHtp.so",
        "jni/arm64-v8a/../../../libQnnHtp.so",
        "/jni/arm64-v8a/libQnnHtp.so",
        "jni\\arm64-v8a\\libQnnHtp.so",
        "C:/libQnnHtp.so",
    ],
)
def test_names_that_lead_out_are_refused(name: str, repository: Repository, libraries: Path) -> None:
    repository.files[QNN_PATH] = aar({**jni("libQnnSystem.so"), name: b"evil"})
    with pytest.raises(IntegrityError, match="can't be trusted") as caught:
        fetch(repository, libraries)
    assert "leads out of its folder" in caught.value.why
    assert not list(libraries.rglob("libQnn*.so"))
    assert not hash_record_file().exists(), "its hash is not to be held"
    assert not list((libraries / "downloads").glob("qnn-runtime*"))


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aar"
    with zipfile.ZipFile(path, "w") as written:
        link = zipfile.ZipInfo("jni/arm64-v8a/libQnnHtp.so")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        written.writestr(link, "/etc/passwd")
    with pytest.raises(IntegrityError) as caught:
        unpack_aar.unpack_aar(path, lambda _: True, tmp_path)
    assert "is a link" in caught.value.why


def test_a_bomb_is_refused_before_it_is_unpacked(repository: Repository, libraries: Path) -> None:
    repository.files[QNN_PATH] = aar({**jni("libQnnSystem.so"), "jni/arm64-v8a/libQnnHtp.so": bytes(30_000_000)})
    with pytest.raises(IntegrityError) as caught:
        fetch(repository, libraries)
    assert "to 30,000,000 bytes" in caught.value.why
    assert not list(libraries.glob("runtime/qairt*"))


def test_sizes_that_lie_are_refused(tmp_path: Path) -> None:
    """A directory that claims few bytes of a member that unpacks to many, and one that claims absurdly many."""
    path = tmp_path / "a.aar"
    path.write_bytes(aar({"jni/arm64-v8a/libQnnHtp.so": library("libQnnHtp.so", 5_000_000)}))
    content = path.read_bytes()
    size = struct.pack("<I", 5_000_000)
    entry = content.rindex(size)  # of the central directory's entry
    path.write_bytes(content[:entry] + struct.pack("<I", 1000) + content[entry + 4 :])
    (tmp_path / "out").mkdir()
    with pytest.raises(IntegrityError, match="can't be trusted"):
        unpack_aar.unpack_aar(path, lambda name: name == "libQnnHtp.so", tmp_path / "out")
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 1000
    path.write_bytes(content[:entry] + struct.pack("<I", 0xFFFFFFF0) + content[entry + 4 :])
    with pytest.raises(IntegrityError) as caught:
        unpack_aar.unpack_aar(path, lambda name: name == "libQnnHtp.so", tmp_path / "out")
    assert "claims 4,294,967,280 bytes" in caught.value.why


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06 cut"])
def test_what_is_no_archive_is_refused_and_can_be_fetched_again(
    content: bytes, repository: Repository, libraries: Path
) -> None:
    right = repository.files[QNN_PATH]
    repository.files[QNN_PATH] = content + b" " * (not content)
    with pytest.raises(IntegrityError, match="can't be trusted"):
        fetch(repository, libraries)
    repository.files[QNN_PATH] = right
    assert qnn_of(fetch(repository, libraries)).path.read_bytes() == right


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aar"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("jni/arm64-v8a/libQnnHtp.so", library("libQnnHtp.so"))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        unpack_aar.unpack_aar(path, lambda _: True, tmp_path)
    assert "CRC" in caught.value.why


def test_skels_are_found_wherever_the_archive_has_them(repository: Repository, libraries: Path) -> None:
    skel = "libQnnHtpV75Skel.so"
    beside = jni("libQnnHtp.so", "libQnnSystem.so", "libQnnHtpV75Stub.so")
    repository.files[QNN_PATH] = aar({**beside, f"assets/hexagon-v75/unsigned/{skel}": library(skel)})
    made = fetch(repository, libraries).artifact
    assert made.file(skel).read_bytes() == library(skel)
    assert runtime_libraries.htp_archs_in(made) == [75]


@pytest.mark.parametrize(
    ("coordinate", "held", "missing"),
    [
        (QNN, ("libQnnHtp.so", "libQnnHtpV75Stub.so", "libQnnHtpV75Skel.so"), "libQnnSystem.so"),
        (QNN, ("libQnnHtp.so", "libQnnSystem.so", "libQnnHtpV75Stub.so"), "with its Skel"),
        ("com.qualcomm.qti:onnxruntime-android-qnn:2.6.0", ("libother.so",), PLUGIN),
        ("com.microsoft.onnxruntime:onnxruntime-android:1.27.0", ("libonnxruntime.so",), "libonnxruntime4j_jni.so"),
    ],
)
def test_an_artifact_without_its_libraries_is_refused(
    coordinate: str, held: tuple[str, ...], missing: str, repository: Repository, libraries: Path
) -> None:
    repository.publish(coordinate, aar(jni(*held)))
    with pytest.raises(IntegrityError, match=missing):
        fetch(repository, libraries)
    assert not list(libraries.glob("runtime/qairt*"))


# --- a QAIRT SDK


def make_sdk(folder: Path, arch: int = 79) -> Path:
    android, hexagon = folder / "lib" / "aarch64-android", folder / "lib" / f"hexagon-v{arch}" / "unsigned"
    for path in (android, hexagon):
        path.mkdir(parents=True)
    for name in ("libQnnHtp.so", "libQnnSystem.so", f"libQnnHtpV{arch}Stub.so", "libQnnHtpPrepare.so", "libQnnGpu.so"):
        (android / name).write_bytes(b"sdk " + library(name))
    (hexagon / f"libQnnHtpV{arch}Skel.so").write_bytes(library("skel"))
    (hexagon / "libQnnSaver.so").write_bytes(b"not wanted")
    return folder


def test_an_sdk_brings_qnns_libraries(command: Cli, repository: Repository) -> None:
    sdk = make_sdk(command.folder / "2.51.0.260929")
    done = command("runtime", "fetch", "--qairt-sdk", str(sdk), "--repository", repository.url, "--json")
    assert done.returncode == 0, done.stderr
    assert "the SDK holds no ONNX Runtime: com.qualcomm.qti:onnxruntime-android-qnn:2.6.0" in done.stderr
    document = json_document(done.stdout)
    assert (document["qairt"], document["htp_archs"]) == ("2.51.0", [79])
    folder = Path(document["folder"])
    assert (folder / "libQnnHtp.so").read_bytes() == b"sdk " + library("libQnnHtp.so")
    assert document["libraries"]["libQnnHtpV79Skel.so"] == "QAIRT SDK 2.51.0.260929"
    assert document["libraries"]["libonnxruntime.so"] == "com.microsoft.onnxruntime:onnxruntime-android:1.27.0"
    assert "libQnnHtpPrepare.so" not in document["libraries"]
    assert repository.asked_for(QNN_PATH) == []
    assert "don't go together" in command.refused(3, "runtime", "fetch", "--qairt-sdk", str(sdk), "--qairt", "2.50")


def test_the_sdks_version_is_in_its_yaml_or_its_name(tmp_path: Path) -> None:
    named = make_sdk(tmp_path / "2.50.0.260515")
    assert runtime_libraries.open_qairt_sdk(named).version == "2.50.0.260515"
    (named / "sdk.yaml").write_text("name: qairt\nversion: '2.48.1.250101'\n")
    assert runtime_libraries.open_qairt_sdk(named).version == "2.48.1.250101"
    with pytest.raises(RuntimeLibraryError, match="version of the SDK"):
        runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / "qairt"))


@pytest.mark.parametrize(
    ("version", "plugin"), [("2.48.0", "2.4.0"), ("2.49.9", "2.4.0"), ("2.50.40", "2.6.0"), ("2.51.0", "2.6.0")]
)
def test_an_sdk_gets_a_plugin_that_is_not_newer(version: str, plugin: str, tmp_path: Path) -> None:
    sdk = runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / version))
    assert runtime_libraries.published_set_for_sdk(sdk, pins.load_pins()).plugin.coordinate.endswith(f":{plugin}")


def test_an_sdk_older_than_every_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeLibraryError, match="too old"):
        runtime_libraries.published_set_for_sdk(
            runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / "2.45.0")), pins.load_pins()
        )


# --- what a phone gets


@pytest.mark.parametrize("arch", [73, 75])
def test_a_phone_gets_its_own_htps_libraries(arch: int, repository: Repository, libraries: Path) -> None:
    fetch(repository, libraries)
    picked = runtime_libraries.select_libraries(arch, "2.50.0")
    assert [path.name for path in picked.files] == [
        "libQnnHtp.so",
        f"libQnnHtpV{arch}Skel.so",
        f"libQnnHtpV{arch}Stub.so",
        "libQnnSystem.so",
        "libonnxruntime.so",
        "libonnxruntime4j_jni.so",
        PLUGIN,
    ]
    assert picked.plugin in picked.files
    assert picked.plugin.name == PLUGIN
    assert all(path.read_bytes() == library(path.name) for path in picked.files)


def test_the_oldest_version_that_loads_the_binary_is_picked(
    repository: Repository, libraries: Path, tmp_path: Path
) -> None:
    fetch(repository, libraries)
    fetch(repository, libraries, runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / "2.51.0.1", arch=75)))
    fetch(repository, libraries, runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / "2.100.0.1", arch=75)))
    assert [entry.qairt for entry in runtime_libraries.fetched_folders(libraries)] == ["2.50.0", "2.51.0", "2.100.0"]
    picked = {
        binary: runtime_libraries.select_libraries(75, binary).qairt
        for binary in ("2.45.0", "2.50.0", "2.50.40", "2.51.0", "2.99.0")
    }
    assert list(picked.values()) == ["2.50.0", "2.50.0", "2.50.0", "2.51.0", "2.100.0"]


def test_a_newer_folder_that_knows_the_htp_is_picked(repository: Repository, libraries: Path, tmp_path: Path) -> None:
    fetch(repository, libraries)
    fetch(repository, libraries, runtime_libraries.open_qairt_sdk(make_sdk(tmp_path / "2.51.0.1", arch=79)))
    assert runtime_libraries.select_libraries(79, "2.50.0").qairt == "2.51.0"


def test_an_htp_that_no_folder_serves_is_named(repository: Repository, libraries: Path) -> None:
    fetch(repository, libraries)
    with pytest.raises(RuntimeLibraryError, match="support an HTP v79") as caught:
        runtime_libraries.select_libraries(79, "2.50.0")
    assert "lack libQnnHtpV79Skel.so and libQnnHtpV79Stub.so; they support v73, v75" in caught.value.why


def test_nothing_fetched_names_the_command(libraries: Path) -> None:
    with pytest.raises(
        RuntimeLibraryError, match=r"No fetched runtime libraries load a binary of QAIRT 2\.49\.40"
    ) as caught:
        runtime_libraries.select_libraries(75, "2.49.40")
    assert caught.value.hint == "qnn-sd runtime fetch --qairt 2.50.0"
    assert "Fetched: none" in caught.value.why


@pytest.mark.parametrize(("arch", "soc"), [(75, "SOC (SOC: qcs8275 or sm8650);"), (79, "sm8750;")])
def test_a_binary_newer_than_all_that_is_published_names_the_compiler(
    arch: int, soc: str, repository: Repository, libraries: Path
) -> None:
    fetch(repository, libraries)
    with pytest.raises(
        RuntimeLibraryError, match=r"No published runtime libraries load a binary of QAIRT 2\.51\.0"
    ) as caught:
        runtime_libraries.select_libraries(arch, "2.51.0")
    default = load_toolchains().chosen
    assert f"{default.install} && qnn-sd compile --soc {soc}" in caught.value.hint
    assert "--qairt-sdk" in caught.value.hint


def test_a_library_damaged_on_disk_is_never_picked(repository: Repository, libraries: Path) -> None:
    made = fetch(repository, libraries).artifact
    os.truncate(made.file("libQnnHtp.so"), 10)
    with pytest.raises(ArtifactError, match=r"libQnnHtp\.so is damaged"):
        runtime_libraries.select_libraries(75, "2.50.0")


def one_conv(g: Graph) -> None:
    g.output(conv(g, RandomTensors(1), "conv", g.input("x", (1, 4, 8, 8)), 4), "y")


def test_the_binarys_version_is_read_from_what_the_compiler_wrote(tmp_path: Path, rng: np.random.Generator) -> None:
    qdq = quantized(one_conv, {"x": rng.standard_normal((1, 4, 8, 8), np.float32)}, tmp_path)
    (tmp_path / "compiled").mkdir()
    compile_component(qdq, 57, 75, 1, tmp_path / "compiled")
    found = runtime_libraries.qairt_version_of(tmp_path / "compiled" / CONTEXT_FILE)
    compilers = {each.onnxruntime_qnn: each.qairt for each in load_toolchains().sets}
    assert found == compilers[metadata.version("onnxruntime-qnn")]


def wrapper(path: Path, compatibility: str | None, sdk_version: str | None) -> Path:
    """An EPContext file as onnxruntime-qnn writes it, with only what tells its version."""
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", main_context=1)
    if sdk_version is not None:
        node.attribute.append(helper.make_attribute("ep_sdk_version", sdk_version))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    if compatibility is not None:
        helper.set_model_props(model, {"ep_compatibility_info.QNNExecutionProvider": compatibility})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("compatibility", "sdk_version"),
    [
        ("v2:6:2.48.3:5.48.0:75:57:0:0", None),
        ("6:2.48.3:5.48.0:0.0.0:75:0", None),  # as onnxruntime-qnn 2.4.0 writes it
        (None, "v2.48.3.260929181845"),
        ("unknown", "v2.48.3"),
    ],
)
def test_either_mark_tells_the_version(compatibility: str | None, sdk_version: str | None, tmp_path: Path) -> None:
    assert runtime_libraries.qairt_version_of(wrapper(tmp_path / "m.onnx", compatibility, sdk_version)) == "2.48.3"


@pytest.mark.parametrize("compatibility", ["v2:6", "6", "", "v2:6:new:2.50.0"])
def test_a_file_that_does_not_tell_its_version_is_refused(compatibility: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeLibraryError, match="doesn't say which QAIRT"):
        runtime_libraries.qairt_version_of(wrapper(tmp_path / "m.onnx", compatibility, "new"))
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 100)
    for name in ("broken.onnx", "missing.onnx"):
        with pytest.raises(RuntimeLibraryError, match="can't be read"):
            runtime_libraries.qairt_version_of(tmp_path / name)


# --- pins


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("compiler = ", "compilr = ", "Did you mean compiler?"),
        ('packaging = "jar"', 'packging = "jar"', "Did you mean packaging?"),
        ('sha256 = "not yet pinned" }', 'sha256 = "unknown" }', "bad value for 'published.0.plugin.sha256'"),
        ("android-qnn:2.4.0", "android-qnn:2..0", "bad value for 'published.0.plugin.coordinate'"),
        ('qairt = "2.48.0"', 'qairt = "2.52.0"', "not in order"),
    ],
)
def test_the_pins_are_strict(old: str, new: str, error: str, tmp_path: Path) -> None:
    text = pins.PINS_FILE.read_text("utf-8")
    assert old in text
    (tmp_path / "pins.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        pins.load_pins(tmp_path / "pins.toml")
    assert error in str(caught.value)


def test_a_version_may_be_named_short() -> None:
    known = pins.load_pins()
    assert known.for_qairt("2.48") == known.for_qairt("2.48.0") == known.published[0]
    with pytest.raises(SettingError):
        known.for_qairt("2")


def test_a_wrong_pin_keeps_the_file_out(libraries: Path, repository: Repository) -> None:
    known = pins.load_pins()
    plugin = known.newest.plugin.model_copy(update={"sha256": "f" * 64})
    wrong = known.newest.model_copy(update={"plugin": plugin})
    with pytest.raises(IntegrityError) as caught:
        runtime_libraries.fetch(wrong, repository.url, libraries, QUIET)
    path = maven_repository.coordinate_path(plugin.coordinate)
    assert f"is {hashlib.sha256(repository.files[path]).hexdigest()}; the pinned hash is {'f' * 64}" in caught.value.why
    assert not list((libraries / "downloads").glob("*.aar*"))


def test_the_desktop_jar_is_the_pinned_one() -> None:
    """From Maven Central, once: the usual cache keeps it."""
    jar = runtime_libraries.desktop_jar()
    assert sha256_of_file(jar) == pins.load_pins().desktop.sha256
    with zipfile.ZipFile(jar) as opened:
        assert "ai/onnxruntime/native/linux-x64/libonnxruntime4j_jni.so" in opened.namelist()
    assert runtime_libraries.pinned_file(pins.load_pins().desktop, repository="http://127.0.0.1:9") == jar
