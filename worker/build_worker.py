"""Builds the phone's worker: ``worker.jar`` for a JVM, ``worker.dex.jar`` for Android.

Without options the bytes are the committed ones, on any machine with Java 17 or newer: one pinned
compiler, sorted entries, no times, nothing deflated (zlib's output differs between its versions).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from artifacts import ANDROID_CORE, ANDROID_FRAMEWORK, DX, ECJ, ONNXRUNTIME

from qnn_sd import worker_jars
from qnn_sd.console import Console
from qnn_sd.errors import CompileError, QnnSdError
from qnn_sd.output_files import written_aside
from qnn_sd.runtime_libraries import Pin, pinned_file
from qnn_sd.virtual_phone import find_java

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
JARS = worker_jars.FOLDER
# ONNX Runtime's Maven jar carries the notices, but not its own licence.
ONNXRUNTIME_LICENSE = HERE / "onnxruntime-LICENSE.txt"
EPOCH = (1980, 1, 1, 0, 0, 0)
MANIFEST = b"Manifest-Version: 1.0\r\nMain-Class: io.github.qnnsd.worker.Main\r\n\r\n"
# API 26 and up: the level from which dx lets default methods of interfaces pass as they are.
DEX_OPTIONS = ["--dex", "--min-sdk-version=26"]


def run(*command: str | Path) -> None:
    """Runs a tool.

    Raises:
        CompileError: it failed; what it printed is the reason.
    """
    done = subprocess.run(
        list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise CompileError(
            "The worker can't be built", why=done.stdout + done.stderr, hint="Mend the sources named above."
        )


def sources(*folders: str) -> list[Path]:
    """The Java files of some of the source folders, sorted."""
    return sorted(path for folder in folders for path in (SOURCES / folder).rglob("*.java"))


class Compiler:
    """ecj on any Java, or a JDK's javac.

    Args:
        java: the runtime that compiles.
        ecj: its jar; None for the javac beside the runtime.
    """

    def __init__(self, java: Path, ecj: Path | None) -> None:
        self.home = java.parent.parent
        self.command = [java.parent / "javac"] if ecj is None else [java, "-jar", ecj]

    def compile(self, classes: Path, files: list[Path], *options: str | Path) -> None:
        """Compiles files into a folder of classes."""
        run(*self.command, "-encoding", "UTF-8", *options, "-d", classes, *files)


def compile_for_android(compiler: Compiler, classes: Path, jars: Mapping[Pin, Path]) -> None:
    """The worker and its Android part, as Java 8, against Android's own java.* and android.*."""
    boot = f"{jars[ANDROID_CORE]}:{jars[ANDROID_FRAMEWORK]}"
    options = ["-source", "8", "-target", "8", "-bootclasspath", boot, "-classpath", jars[ONNXRUNTIME]]
    compiler.compile(classes, sources("common", "android"), *options)


def compile_for_jvm(compiler: Compiler, classes: Path, worker: Path) -> None:
    """The JVM's twin of the Android part, as Java 17, against the running Java."""
    options = ["-source", "17", "-target", "17", "--system", compiler.home, "-classpath", worker]
    compiler.compile(classes, sources("jvm"), *options)


def class_files(folder: Path) -> dict[str, bytes]:
    """Class files below a folder, by their names in a jar."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.class")}


def write_jar(path: Path, entries: Mapping[str, bytes]) -> None:
    """Writes a jar whose bytes depend on its entries alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as jar:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, EPOCH)
            # Without these two the entry tells which system and umask made it.
            info.create_system, info.external_attr = 3, 0o100644 << 16
            jar.writestr(info, entries[name])


def dex(java: Path, jars: Mapping[Pin, Path], work: Path, worker: Mapping[str, bytes]) -> bytes:
    """The worker's and ONNX Runtime's classes as one ``classes.dex``."""
    folder, out = work / "dex", work / "classes.dex"
    with zipfile.ZipFile(jars[ONNXRUNTIME]) as jar:
        runtime = {name: jar.read(name) for name in jar.namelist() if name.endswith(".class")}
    for name, content in {**runtime, **worker}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    run(java, "-cp", jars[DX], "com.android.dx.command.Main", *DEX_OPTIONS, f"--output={out}", folder)
    return out.read_bytes()


def build(compiler_name: str, out: Path, repository: str | None) -> list[Path]:
    """Builds both jars into a folder and returns their paths.

    Args:
        compiler_name: ``ecj`` or ``javac``.
        out: the folder.
        repository: of Maven, by URL or name, for the tools that aren't here; None for the pinned one.

    Raises:
        CompileError: the sources don't compile.
        DownloadError: a tool can't be had.
        IntegrityError: a tool isn't the pinned one.
        OutputError: the folder, or the cache of downloads, can't be written.
        SettingError: there is no such repository.
        VirtualPhoneError: there is no Java that is new enough.
    """
    java = find_java()
    tools = (ONNXRUNTIME, ECJ, DX, ANDROID_FRAMEWORK, ANDROID_CORE)
    jars = {pin: pinned_file(pin, Console(), repository) for pin in tools}
    compiler = Compiler(java, None if compiler_name == "javac" else jars[ECJ])
    with tempfile.TemporaryDirectory(prefix="qnn-sd-worker-") as name:
        work = Path(name)
        android, jvm = work / "android", work / "jvm"
        compile_for_android(compiler, android, jars)
        compile_for_jvm(compiler, jvm, android)
        worker = class_files(android)
        code = dex(java, jars, work, worker)
        common = {name: content for name, content in worker.items() if "AndroidPlatform" not in name}
        desk = {**common, **class_files(jvm), "META-INF/MANIFEST.MF": MANIFEST}
    with zipfile.ZipFile(jars[ONNXRUNTIME]) as jar:
        notices = jar.read("ThirdPartyNotices.txt")
    phone = {
        "META-INF/LICENSE": (HERE.parent / "LICENSE").read_bytes(),
        "META-INF/onnxruntime/LICENSE": ONNXRUNTIME_LICENSE.read_bytes(),
        "META-INF/onnxruntime/ThirdPartyNotices.txt": notices,
        "classes.dex": code,
    }
    paths = [out / "worker.jar", out / "worker.dex.jar"]
    for path, entries in zip(paths, (desk, phone), strict=True):
        write_jar(path, entries)
    return paths


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", choices=["ecj", "javac"], default="ecj", help="ecj makes the committed bytes")
    parser.add_argument("--out", type=Path, default=JARS, help="folder of the two jars")
    parser.add_argument(
        "--repository", metavar="URL", help="Maven repository of the tools, or its name in jgo's settings"
    )
    arguments = parser.parse_args()
    try:
        for path in build(arguments.compiler, arguments.out, arguments.repository):
            print(f"{path} ({path.stat().st_size:,} bytes)")
    except QnnSdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
