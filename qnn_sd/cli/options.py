"""Options that several commands share."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import click

from qnn_sd import output_files
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.help import BUILD, OUTPUT, TARGET, option
from qnn_sd.cli.typed_command import main_name
from qnn_sd.cli.value_types import Minutes, SomeSocs
from qnn_sd.config import ALL_SOCS, DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import OutputError, SettingError

DEFAULT_SOC = "sm8650"

Command = Callable[..., Any]
# How long the commands wait for jobs that measure or run something at AI Hub.
HUB_DEADLINE_MINUTES = 120


def refuse_bad_output(output: Path, suffix: str, why: str, beside: str | None = None) -> None:
    """Refuses a place that can't be written, before any work: hours of it must not end in a typo.

    Args:
        output: the file that is to be written.
        suffix: what its name must end in, such as ``.png``.
        why: said where it ends otherwise.
        beside: the suffix of a second file that is written under the same name, or None.

    Raises:
        OutputError: a folder, another suffix, or a place without the right to write.
    """
    _refuse_folder(output, suffix)
    if output.suffix.lower() != suffix:
        raise OutputError(f"Can't write {output}", why=why, hint=f"Give a name ending in {suffix}.")
    if beside is not None:
        _refuse_folder(output.with_suffix(beside), suffix)
    # Files of one folder: what holds for one holds for the other.
    output_files.probe_writable(output)


def _refuse_folder(path: Path, suffix: str) -> None:
    if path.is_dir() or not path.name:
        raise OutputError(
            f"Can't write {path}", why="It is a folder.", hint=f"Give a file's name, such as out{suffix}."
        )


def refuse_typed(meaningful: Collection[str], where: str, *, why: str, hint: str) -> None:
    """Refuses options that were typed and do nothing here: whoever typed them expects something.

    Args:
        meaningful: the parameters' names that mean something.
        where: said after "has no meaning".
        why: said of any other.
        hint: what to type next.

    Raises:
        SettingError: another one was typed.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name not in meaningful and is_typed(context, parameter.name):
            raise SettingError(f"{main_name(parameter)} has no meaning {where}", why=why, hint=hint)


device_option = option(
    "--device",
    group=TARGET,
    metavar="SERIAL",
    default_text="the one that is connected",
    help="The phone, by its serial number at adb; qnn-sd devices lists them.",
)
cache_option = option(
    "--cache",
    group=BUILD,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="QNN_SD_CACHE, or the user's cache folder",
    help="Folder for what is built or downloaded.",
)


def soc_option(purpose: str, default_text: str | None = None) -> Callable[[Command], Command]:
    """``--soc``, a device profile's name.

    Args:
        purpose: what it is there for, after "SoC".
        default_text: what holds without it, where that is no fixed SoC.
    """
    default = {} if default_text else {"default": DEFAULT_SOC}
    return option(
        "--soc",
        group=TARGET,
        metavar="SOC",
        default_text=default_text,
        help=f"SoC {purpose}. Any of its names will do: sm8650, 8gen3.",
        **default,
    )


def open_profile(soc: str, console: Console) -> DeviceProfile:
    """The device profile of a name; warns of one whose SoC the compiler isn't known to know.

    Raises:
        UnknownSocError: no profile has that name.
        ConfigError: a profile's file is wrong.
    """
    profile = load_profile(soc)
    if profile.caution:
        console.warn(profile.caution)
    return profile


def socs_option(purpose: str) -> Callable[[Command], Command]:
    """``--soc``, handed on as ``socs``: the names of device profiles, each once, in the order that they were typed.

    Args:
        purpose: what they are there for, after "SoC".
    """

    def each_once(
        _context: click.Context, _option: click.Parameter, typed: tuple[tuple[str, ...], ...]
    ) -> tuple[str, ...]:
        return tuple(dict.fromkeys(itertools.chain.from_iterable(typed))) or (DEFAULT_SOC,)

    return option(
        "--soc",
        "socs",
        group=TARGET,
        multiple=True,
        type=SomeSocs(),
        callback=each_once,
        metavar="SOC",
        default_text=DEFAULT_SOC,
        help=f"SoC {purpose}. Any of its names will do: sm8650, 8gen3. Repeatable; {ALL_SOCS} for every profile.",
    )


def component_option(known: Sequence[str], purpose: str) -> Callable[[Command], Command]:
    """``--component``, handed on as ``components``: those that were named, or all, in their own order.

    Args:
        known: the names that it takes.
        purpose: what it is done for, after "Component to".
    """

    def chosen(_context: click.Context, _option: click.Parameter, named: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in known if name in named or not named)

    return option(
        "--component",
        "components",
        group=BUILD,
        multiple=True,
        type=click.Choice(known),
        callback=chosen,
        default_text="all",
        help=f"Component to {purpose}. Repeatable.",
    )


def deadline_option(group: str, text: str, minutes: float = HUB_DEADLINE_MINUTES) -> Callable[[Command], Command]:
    """``--deadline``, in minutes: how long jobs at AI Hub are waited for.

    Args:
        group: of the option.
        text: for its help.
        minutes: the default.
    """
    return option("--deadline", group=group, type=Minutes(), metavar="MINUTES", default=minutes, help=text)


def plot_option(what: str) -> Callable[[Command], Command]:
    """``--plot``: an image to write as well.

    Args:
        what: it shows, for its help.
    """
    return option(
        "--plot",
        group=OUTPUT,
        type=click.Path(path_type=Path),
        metavar="FILE.svg",
        default_text="none",
        help=f"Image to write as well: {what}.",
    )


def output_options(command: Command) -> Command:
    """``--json`` and ``--quiet``, handed on as one ``console``; ``--debug``."""

    @functools.wraps(command)
    def with_console(as_json: bool, quiet: bool, **rest: Any) -> Any:
        # The entry point's: it has to know whether the command has printed its document.
        console = click.get_current_context().ensure_object(Console)
        console.as_json, console.quiet = as_json, quiet
        return command(console=console, **rest)

    wrapped: Command = with_console
    for each in (
        # The entry point reads it: it must hold before any option is understood.
        option(
            "--debug",
            group=OUTPUT,
            is_flag=True,
            expose_value=False,
            help="Show a failure's traceback, with the log of a phone's worker.",
        ),
        option("--quiet", "-q", group=OUTPUT, is_flag=True, help="Show no progress and no remarks."),
        option(
            "--json",
            "as_json",
            group=OUTPUT,
            is_flag=True,
            help="Print one JSON document and nothing else; a failure is one too.",
        ),
    ):
        wrapped = each(wrapped)
    return wrapped
