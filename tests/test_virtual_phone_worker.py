"""Java classes on the virtual phone: started, talked to, ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbutils
import artifacts
import build_worker
import pytest
from adb_host import TMP, AdbHost, PhoneOnAdb, exchange, noise, started

from qnn_sd.runtime_libraries import pinned_file
from qnn_sd.virtual_phone import Faults, find_java

# Java classes

ECHO = """
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.file.*;

public class Echo {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("fail")) {
            System.err.println("as asked, in " + Path.of("").toAbsolutePath());
            System.exit(9);
        }
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(Path.of(System.getenv("QNN_SD_SOCKETS"), arguments[0])));
        int token = System.in.read();
        System.out.println("ready " + (char) token + " " + ProcessHandle.current().pid());
        Thread leash = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                }
            } catch (java.io.IOException gone) {
            }
            System.exit(0);
        });
        leash.start();
        try (SocketChannel connection = server.accept()) {
            ByteBuffer buffer = ByteBuffer.allocate(65536);
            while (connection.read(buffer) >= 0) {
                buffer.flip();
                while (buffer.hasRemaining()) {
                    connection.write(buffer);
                }
                buffer.clear();
            }
        }
        System.exit(0);
    }
}
"""


@pytest.fixture(scope="module")
def worker_jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small worker: prints that it is ready, sends back what it gets, ends with its stdin."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "Echo.java").write_text(ECHO)
    # The compiler of the worker itself: it needs no JDK.
    compiler = build_worker.Compiler(find_java(), pinned_file(artifacts.ECJ))
    options = ("-source", "17", "-target", "17", "--system", compiler.home)
    compiler.compile(folder / "classes", [folder / "Echo.java"], *options)
    with zipfile.ZipFile(folder / "worker.jar", "w") as jar:
        for path in (folder / "classes").iterdir():
            jar.write(path, path.name)
    return folder / "worker.jar"


def start_of(name: str) -> str:
    """The shell's line that starts the small worker."""
    return f"cd {TMP} && CLASSPATH={TMP}/worker.dex.jar LD_LIBRARY_PATH=. exec app_process / Echo {name}"


@contextmanager
def worker(adb: AdbHost, address: str, name: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The adb shell of a started worker, and the worker's process id."""
    adb("-s", address, "shell", f"touch {TMP}/worker.dex.jar")
    shell = adb.start("-s", address, "shell", start_of(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"T")
        shell.stdin.flush()
        word, token, pid = shell.stdout.readline().split()
        assert (word, token) == (b"ready", b"T")
        yield shell, int(pid)
        shell.kill()


def wait_until_gone(handle: int) -> None:
    """Waits for the end of a process (a pidfd becomes readable)."""
    assert select.select([handle], [], [], 60)[0], "the process is still there"
    os.close(handle)


@pytest.fixture
def running(adb: AdbHost, worker_jar: Path, tmp_path: Path) -> Iterator[Any]:
    """A phone with the small worker."""
    with started(adb, tmp_path / "phone", worker_jar=worker_jar) as phone:
        yield phone


def test_app_process_runs_a_class_that_answers_on_its_socket(adb: AdbHost, running: PhoneOnAdb) -> None:
    with worker(adb, running.address, "qnn-sd-echo") as (shell, pid):
        assert running.shell("pidof app_process") == f"{pid}\n"
        assert running.shell(f"ps -p {pid} -o ARGS").splitlines()[1] == "app_process / Echo qnn-sd-echo"
        data = noise(1_000_000)
        with running.device.create_connection(adbutils.Network.LOCAL_ABSTRACT, "qnn-sd-echo") as connection:
            assert exchange(connection, data) == data
        assert shell.wait(60) == 0
    assert running.said == [
        "app_process: the phone's aarch64 libraries can't run here; the desktop ones stand in for them."
    ]


def test_app_process_fails_as_its_class_does(running: PhoneOnAdb) -> None:
    running.shell(f"touch {TMP}/worker.dex.jar")
    done = running.bytes("shell", start_of("fail"))
    # The folder that stands in for the phone's libraries: where the worker looks for them.
    folder = running.root.parent / "tmp" / "libraries"
    assert (done.returncode, done.stderr) == (9, f"as asked, in {folder}\n".encode())
    assert (folder / "libQnnHtp.so").is_file()
    for script in (
        start_of("x").replace("worker.dex.jar", "nope.jar"),
        start_of("x").replace("Echo", "jdk.internal.jshell.tool.JShellToolProvider"),
        start_of("x").replace("app_process", "app_process -javaagent:x"),
        "app_process / Echo x",
    ):
        assert "app_process: " in running.fails("shell", script)


@pytest.mark.parametrize("end", ["stdin", "client", "kill", "phone's kill", "cable"])
def test_a_worker_ends_with_its_shell_or_by_force(adb: AdbHost, running: PhoneOnAdb, end: str) -> None:
    with worker(adb, running.address, "qnn-sd-echo") as (shell, pid):
        handle = os.pidfd_open(pid)
        ends: dict[str, Callable[[], object]] = {
            "stdin": lambda: shell.stdin and shell.stdin.close(),
            "client": shell.kill,
            "kill": lambda: running.shell("kill -9 $(pidof app_process)"),
            "phone's kill": running.phone.kill_worker,
            "cable": running.phone.disconnect,
        }
        ends[end]()
        wait_until_gone(handle)
        if end in ("kill", "phone's kill"):
            assert shell.wait(60) == 128 + signal.SIGKILL


def test_a_worker_killed_after_so_many_bytes(adb: AdbHost, worker_jar: Path, tmp_path: Path) -> None:
    with (
        started(adb, tmp_path, worker_jar=worker_jar, faults=Faults(kill_worker=1000)) as phone,
        worker(adb, phone.address, "qnn-sd-echo") as (_, pid),
    ):
        handle = os.pidfd_open(pid)
        with phone.device.create_connection(adbutils.Network.LOCAL_ABSTRACT, "qnn-sd-echo") as connection:
            assert exchange(connection, bytes(999)) == bytes(999)
            connection.sendall(b"!")
            wait_until_gone(handle)
            while connection.recv(1000):
                pass


def test_the_end_of_a_phone_leaves_nothing(
    adb: AdbHost, worker_jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    before = set(threading.enumerate())
    with started(adb, tmp_path / "phone", worker_jar=worker_jar) as phone:
        waiting = adb.start(
            "-s", phone.address, "shell", "echo ready; cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"ready\n"
        with worker(adb, phone.address, "qnn-sd-echo") as (_, pid):
            handle = os.pidfd_open(pid)
            phone.phone.stop()
            wait_until_gone(handle)
            assert set(threading.enumerate()) <= before
            assert list((tmp_path / "temporary").iterdir()) == []
            assert sorted(path.name for path in (tmp_path / "phone").iterdir()) == ["files", "virtual-phone.lock"]
        with waiting:
            waiting.kill()


def test_a_phone_that_is_killed_leaves_no_worker(adb: AdbHost, worker_jar: Path, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from qnn_sd.config import load_profile
from qnn_sd.virtual_phone import VirtualPhone
with VirtualPhone(load_profile("sm8650"), Path(sys.argv[1]), worker_jar=Path(sys.argv[2])) as phone:
    print(phone.address, flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "phone"), str(worker_jar)],
        env={**os.environ, "HOME": str(adb.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        adb("connect", address)
        with worker(adb, address, "qnn-sd-echo") as (_, pid):
            handle = os.pidfd_open(pid)
            process.kill()
            wait_until_gone(handle)
    adb("disconnect", address)
