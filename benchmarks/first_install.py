"""From the built wheel to an image on the virtual phone, in an empty environment: seconds and megabytes of each step.

    python benchmarks/first_install.py WORK_FOLDER

WORK_FOLDER must be empty. It becomes the home of a user who has nothing: no environment, no cache, no adb key. The
wheel is built beforehand; its packages come from the configured index, without pip's cache. MB is what the step left
on the disk. What `qnn-sd runtime fetch` can't have from Maven Central is told, and the rest goes on.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "a big green square on white"
_LIMIT_SECONDS = 1800


class CommandFailed(Exception):
    """A command of the user failed.

    Args:
        code: its exit code.
        said: the command, and what it printed.
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit code {code}: {said}")
        self.code = code


@dataclass
class Newcomer:
    """A user with an empty home, and what each step cost.

    Attributes:
        home: the home, in which everything lands.
        rows: step, seconds, CPU seconds, MB.
    """

    home: Path
    rows: list[tuple[str, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("QNN_SD_", "PYTHON", "XDG_"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "PATH": f"{self.home / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_CACHE_DIR": "1",
            # An adb server of its own, which sees no other device of this machine.
            "ANDROID_ADB_SERVER_PORT": str(port),
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "0",
        }
        self.folder = self.home / "empty"
        self.folder.mkdir()

    def __call__(self, *command: str | Path) -> str:
        """stdout of a command that must succeed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=False, capture_output=True, text=True,
            timeout=_LIMIT_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise CommandFailed(done.returncode, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measures the block as one step, and prints it."""
        seconds, cpu_seconds, megabytes = time.monotonic(), _cpu_seconds(), self._megabytes()
        yield
        row = time.monotonic() - seconds, _cpu_seconds() - cpu_seconds, self._megabytes() - megabytes
        self.rows.append((name, *row))
        print(f"{name:<44} {row[0]:>8.1f} {row[1]:>12.1f} {row[2]:>8.1f}", flush=True)

    def _megabytes(self) -> float:
        listed = subprocess.run(["du", "-sk", self.home], check=True, capture_output=True, text=True).stdout
        return int(listed.split()[0]) * 1024 / 1e6


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


@contextmanager
def virtual_phone(user: Newcomer) -> Iterator[str]:
    """A virtual phone that adb is connected to, by its address; the end of the block ends it and waits."""
    command = [str(user.home / "env" / "bin" / "qnn-sd"), "virtual-phone", "--connect"]
    with subprocess.Popen(
        command, cwd=user.folder, env=user.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            # Said once adb has it.
            said = next((line for line in process.stderr if "--device " in line), "")
            if not said:
                raise SystemExit("the virtual phone didn't start")
            yield said.partition("--device ")[2].split()[0]
        finally:
            process.terminate()
            process.communicate()


def main() -> None:
    """Plays the steps through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="an empty folder")
    told = parser.parse_args()
    work = told.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if any(work.iterdir()):
        raise SystemExit(f"{work} isn't empty")
    (work / "wheel").mkdir()
    wheel = built_wheel(work / "wheel")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, the wheel: {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"{'step':<44} {'seconds':>8} {'CPU seconds':>12} {'MB':>8}")
    (work / "home").mkdir()
    user = Newcomer(work / "home")
    environment = user.home / "env"
    pip, command = environment / "bin" / "pip", environment / "bin" / "qnn-sd"
    with user.step("python -m venv"):
        user(sys.executable, "-m", "venv", environment)
    with user.step("pip install WHEEL"):
        user(pip, "install", "--quiet", wheel)
    with user.step("qnn-sd doctor"):
        user(command, "doctor")
    with user.step("qnn-sd run, the first time"):
        user(command, "run", PROMPT, "-o", "first.png", "--seed", "7")
    with user.step("qnn-sd run, again"):
        user(command, "run", PROMPT, "-o", "again.png", "--seed", "7")
    with user.step("pip install WHEEL[phone]"):
        user(pip, "install", "--quiet", f"{wheel}[phone]")
    try:
        with user.step("qnn-sd runtime fetch"):
            user(command, "runtime", "fetch")
    except CommandFailed as error:
        # The virtual phone needs none of them.
        print(f"qnn-sd runtime fetch: exit code {error.code}")
    whole, image = "virtual phone: start, image there, end", "  of it: qnn-sd run --device"
    with user.step(whole), virtual_phone(user) as address, user.step(image):
        user(command, "run", PROMPT, "-o", "phone.png", "--seed", "7", "--device", address)
    # After the phone, which disconnects itself from the server.
    user(_adb(environment), "kill-server")
    print(f"all: {sum(seconds for name, seconds, *_ in user.rows if not name.startswith(' ')):.0f} s")


def _adb(environment: Path) -> Path:
    [adb] = environment.glob("lib/python*/site-packages/adbutils/binaries/adb")
    return adb


if __name__ == "__main__":
    main()
