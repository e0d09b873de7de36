"""``qnn-sd completion``: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
)

from qnn_sd.cli.docs import SCRIPTS
from qnn_sd.cli.help import HelpCommand
from qnn_sd.console import Console

PROGRAM = "qnn-sd"
# As click names it after the program; the shell's function sets it.
COMPLETE_VARIABLE = "_QNN_SD_COMPLETE"

# click's own forgets the files that it has where a folder is offered too, and has a space after a folder.
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local response type value
    COMPREPLY=()
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1)
    for completion in $response; do
        IFS=',' read type value <<< "$completion"
        case $type in
            dir) compopt -o filenames; COMPREPLY+=($(compgen -d -- "${COMP_WORDS[COMP_CWORD]}")) ;;
            file) compopt -o filenames; COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")) ;;
            plain) COMPREPLY+=($value) ;;
        esac
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """click starts a bash to ask for its version; 4.4 is ten years old."""


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": ZshComplete, "fish": FishComplete}

# Where each shell looks for such scripts; zsh where a folder of $fpath is the user's.
_PLACES = {
    "bash": "qnn-sd completion bash > ~/.local/share/bash-completion/completions/qnn-sd",
    "zsh": 'qnn-sd completion zsh > "${fpath[1]}/_qnn-sd"',
    "fish": "qnn-sd completion fish > ~/.config/fish/completions/qnn-sd.fish",
}


def print_completion(command: click.Command) -> int:
    """Answers the shell's function: what the word at hand can become.

    Returns:
        the exit code.
    """
    for name, kind in _SHELLS.items():
        add_completion_class(kind, name)
    return shell_complete(command, {}, PROGRAM, COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])


class _Shell(click.Choice[str]):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The shell's name; of ``$SHELL`` too, which is a path."""
        return super().convert(Path(value).name, param, ctx)


@click.command(
    "completion",
    cls=HelpCommand,
    examples=(
        ("Print the script for bash", "qnn-sd completion bash"),
        ("Print the script for fish", "qnn-sd completion fish"),
    ),
    docs_page=SCRIPTS,
)
@click.argument("shell", type=_Shell(tuple(_SHELLS)))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options and values.

    SHELL is bash, zsh or fish; on a terminal the command says where the script goes. It knows SoCs, models, schedulers,
    perf modes and components, checkpoints in the folder at hand, and the phones of an adb server that runs.
    """
    click.echo(_SHELLS[shell](ctx.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE).source(), nl=False)
    if sys.stdout.isatty():
        ctx.ensure_object(Console).say(f"Put it where {shell} looks: {_PLACES[shell]}")
