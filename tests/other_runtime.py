"""Another version of ONNX Runtime than the installed one, for tests of what changes between two of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


class OtherRuntime:
    """An ONNX Runtime in a folder of its own.

    Args:
        version: the one to install.
        folder: an empty one that gets it.
    """

    def __init__(self, version: str, folder: Path) -> None:
        self.version, self._folder = version, folder
        wanted = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "install", *wanted, f"onnxruntime=={version}"], check=True)

    def run(self, code: str, *arguments: str | Path) -> str:
        """Runs Python code in a process that sees this version; returns what it prints.

        Raises:
            CalledProcessError: it failed.
        """
        path = os.pathsep.join([str(self._folder), str(ROOT)])
        command = [
            sys.executable,
            "-c",
            f"import onnxruntime; assert onnxruntime.__version__ == {self.version!r}\n{code}",
        ]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout
