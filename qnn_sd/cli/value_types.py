"""Types of options' values: what is made of the text that was typed, and what the shell completes it to.

Nothing heavy is imported before a value is there: a shell that completes waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from qnn_sd.config import ALL_SOCS


class Text(click.ParamType[str]):
    """Text that stays as it is, with what the shell offers for it.

    Args:
        offers: makes the words to offer, each with a remark or None.
    """

    name = "text"

    def __init__(self, offers: Callable[[], Iterable[tuple[str, str | None]]]) -> None:
        self._offers = offers

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's)
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """What begins with what was typed so far, whatever its case."""
        return [
            CompletionItem(word, help=remark)
            for word, remark in self._offers()
            if word.lower().startswith(incomplete.lower())
        ]


class Name(Text):
    """One of several names, however it is spelled, as the one that it has here.

    Args:
        name: of the type.
        offers: as ``Text`` takes it.
        named: finds the name that it has here; raises a QnnSdError where there is none.
    """

    def __init__(
        self, name: str, offers: Callable[[], Iterable[tuple[str, str | None]]], named: Callable[[str], str]
    ) -> None:
        super().__init__(offers)
        self.name, self._named = name, named

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (click's)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        """The name that it has here.

        Raises:
            QnnSdError: there is none of that name.
        """
        return self._named(str(value))


class Minutes(click.FloatRange):
    """A time to wait, above 0 and up to a year: what is no number, or has no end, would wait for ever."""

    _MOST = 366 * 24 * 60.0

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The minutes."""
        minutes = float(super().convert(value, param, ctx))
        if not minutes <= self._MOST:  # NaN is neither above nor below
            self.fail(f"{value} is no number of minutes up to a year ({self._MOST:.0f}).", param, ctx)
        return minutes


class SomeSocs(click.ParamType[tuple[str, ...]]):
    """A SoC by any of its names, several with commas between, or ``all``: what ``--soc`` takes for each."""

    name = "socs"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (click's)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """The SoCs, each once.

        Raises:
            UnknownSocError: there is none of that name.
        """
        if isinstance(value, tuple):
            return value
        named: list[str] = []
        for each in value.split(","):
            named += [soc for soc, _title in _socs()] if each.strip().lower() == ALL_SOCS else [_soc_named(each)]
        return tuple(dict.fromkeys(named))

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,
        incomplete: str,
    ) -> list[CompletionItem]:
        """As for one SoC, after the last comma, and ``all``."""
        before, comma, begun = incomplete.rpartition(",")
        one = Text(lambda: [*_socs(), *([] if before else [(ALL_SOCS, "every SoC that has a profile")])])
        items = one.shell_complete(ctx, param, begun)
        return [CompletionItem(f"{before}{comma}{each.value}", help=each.help) for each in items]


class WeightsPath(click.ParamType[str]):
    """A checkpoint, VAE, LoRA or embedding: a folder, a .safetensors file or a hub id."""

    name = "path"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (click's)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        """The same text; the user's home for a ``~`` that the shell has left, as in ``--vae=~/vae``."""
        return os.path.expanduser(str(value))  # noqa: PTH111 (a hub id is no path)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's)
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Files that end in .safetensors, and folders, which the shell itself looks up."""
        folder, _, start = incomplete.rpartition("/")
        place = Path(f"{folder}/" if "/" in incomplete else ".").expanduser()
        names = sorted(each.name for each in place.glob("*.safetensors")) if place.is_dir() else []
        begun = incomplete[: len(incomplete) - len(start)]
        found = [CompletionItem(begun + name) for name in names if name.startswith(start)]
        return [CompletionItem(incomplete, type="dir"), *found]


class FilePath(click.Path):
    """A path; the user's home for a ``~`` that the shell has left, as in ``--output=~/out.png``."""

    def __init__(self, known: click.Path) -> None:
        super().__init__(exists=known.exists, file_okay=known.file_okay, dir_okay=known.dir_okay, path_type=known.type)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        return super().convert(os.path.expanduser(value) if isinstance(value, str) else value, param, ctx)  # noqa: PTH111


class Choice(click.Choice[str]):
    """One of several words, in any case, with dashes or underscores."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        """What spellings of a word have in common."""
        return super().normalize_choice(choice, ctx).lower().replace("_", "-")

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 (click's)
        incomplete: str,
    ) -> list[CompletionItem]:
        """The words as they are listed, not what their spellings have in common."""
        begun = self.normalize_choice(incomplete, ctx)
        return [CompletionItem(each) for each in self.choices if self.normalize_choice(each, ctx).startswith(begun)]


class Prediction(Choice):
    """What a UNet predicts, also in the words of configs and of other tools (``v_prediction``, ``eps``)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``epsilon`` or ``v``."""
        from qnn_sd.export.checkpoint.prediction import kind_named  # noqa: PLC0415

        return super().convert(kind_named(str(value)) or value, param, ctx)


class Target(Choice):
    """A place where components run: one of several words, or ``hub:`` and the name of a device at AI Hub."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or ``hub:`` and the name as it was typed."""
        word, _, device = str(value).partition(":")
        if word.strip().lower() == "hub" and device.strip():
            return f"hub:{device.strip()}"
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words; behind ``hub:`` the devices that profiles name."""
        words = [each for each in super().shell_complete(ctx, param, incomplete) if ":" not in each.value]
        begun = incomplete.lower()
        named = ((f"hub:{name}", remark) for name, remark in _cloud_devices())
        return [
            *words,
            *(CompletionItem(name, help=remark) for name, remark in named if name.lower().startswith(begun)),
        ]


def type_of(names: Iterable[str], given: Any) -> Any:
    """The type of an option: its own by its name, else the given one, told apart less strictly.

    Args:
        names: as they are typed.
        given: the type that it was made with, or None.
    """
    if given is None:
        return next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    # A type of somebody's own stays as it is.
    if type(given) is click.Choice:
        return Choice([str(each) for each in given.choices])
    return FilePath(given) if type(given) is click.Path else given


def _socs() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.config import profiles  # noqa: PLC0415
    from qnn_sd.errors import ConfigError  # noqa: PLC0415

    try:
        return [(soc, profile.title) for soc, profile in profiles().items()]
    except ConfigError:  # a file of the user's own is wrong: the command says so, not the Tab
        return []


def _soc_named(name: str) -> str:
    from qnn_sd.config import load_profile  # noqa: PLC0415

    return load_profile(name).soc


def _models() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.config import load_model, models  # noqa: PLC0415

    return [(name, load_model(name).title) for name in models()]


def _schedulers() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.generate.schedulers import all_names  # noqa: PLC0415

    return [(name, None) for name in all_names()]


def _scheduler_named(name: str) -> str:
    from qnn_sd.generate.schedulers import scheduler_named  # noqa: PLC0415

    return scheduler_named(name)


def _devices() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.targets.adb.client import listed_devices  # noqa: PLC0415

    return listed_devices()


def _perf_modes() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.targets.adb.session.deployment import PERF_MODES  # noqa: PLC0415

    return [(name, None) for name in PERF_MODES]


def _cloud_devices() -> Iterable[tuple[str, str | None]]:
    from qnn_sd.ai_hub.cloud_devices import device_names  # noqa: PLC0415
    from qnn_sd.errors import ConfigError  # noqa: PLC0415

    try:
        return device_names()
    except ConfigError:  # a file of the user's own is wrong: the command says so, not the Tab
        return []


_WEIGHTS = WeightsPath()
_BY_NAME: Mapping[str, click.ParamType[str]] = {
    "--soc": Name("soc", _socs, _soc_named),
    "--model": Text(_models),
    "--scheduler": Name("scheduler", _schedulers, _scheduler_named),
    "--device": Text(_devices),
    "--hub": Text(_cloud_devices),
    "--perf-mode": Text(_perf_modes),
    "--checkpoint": _WEIGHTS,
    "--vae": _WEIGHTS,
    "--text-encoder": _WEIGHTS,
    "--lora": _WEIGHTS,
    "--embedding": _WEIGHTS,
}
