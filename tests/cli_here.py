"""The command in this process: for what it says, where it isn't the process that is tested."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from subprocess import CompletedProcess
from unittest.mock import patch

from conftest import Cli

from qnn_sd.cli.app import main


class CliHere(Cli):
    """Runs ``qnn-sd`` as ``Cli`` does, without the second that a process takes to start.

    Exit code, stdout and stderr are those of the command. What a process has of its own isn't there: signals, limits,
    descriptors that native libraries print on.
    """

    def __call__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {**self.environment, **(environment or {})}),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(list(arguments))
        return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
