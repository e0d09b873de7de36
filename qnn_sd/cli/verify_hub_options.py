"""The options of ``qnn-sd verify --hub``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.documents.verify_hub import HubForm
from qnn_sd.cli.help import CHECKS, TARGET, option
from qnn_sd.cli.options import Command, deadline_option, refuse_typed
from qnn_sd.cli.upload_consent import allow_upload_option
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import COMPONENTS, TEXT_TO_IMAGE_COMPONENTS

_OF_OTHERS = ("wanted", "graph", "inputs", "reproduction", "prompt", "against")
_OF_HUB = {
    "form": "--hub-form",
    "emulator": "--no-emulator",
    "allow_upload": "--allow-upload",
    "deadline": "--deadline",
}


@dataclass(frozen=True)
class HubRequest:
    """What is run at AI Hub.

    Attributes:
        devices: names, as they were typed.
        components: in the order that an image needs them.
        form: what is uploaded: the binary itself, or an EPContext ONNX around it.
        emulator: whether the emulator is asked, too.
        allow_upload: whether a user's checkpoint may be uploaded without asking.
        soc: whose binaries run; None for each device's own.
        deadline_minutes: how long jobs are waited for.
    """

    devices: tuple[str, ...]
    components: tuple[str, ...]
    form: HubForm
    emulator: bool
    allow_upload: bool
    soc: str | None
    deadline_minutes: float


def hub_options(command: Command) -> Command:
    """``--hub`` and what goes with it, handed on as ``hub_request``: None without it."""

    @functools.wraps(command)
    def with_request(
        hubs: tuple[str, ...], form: HubForm, emulator: bool, allow_upload: bool, deadline: float, soc: str, **rest: Any
    ) -> Any:
        context = click.get_current_context()
        request = None
        if hubs:
            if rest["source"] is not None:
                raise SettingError(
                    f"--hub has no meaning with {rest['source']}",
                    why="A build's components run on the device: there are inputs to compare them with.",
                    hint="Leave one of them out.",
                )
            refuse_typed(
                {each.name for each in context.command.params} - set(_OF_OTHERS),
                "with --hub",
                why="A build's components run on the device with the inputs that the build verifies with.",
                hint="Leave one of them out.",
            )
            # Without --component all are meant, of which an image from a prompt needs these.
            named = rest["components"] if is_typed(context, "components") else TEXT_TO_IMAGE_COMPONENTS
            typed_soc = soc if is_typed(context, "soc") else None
            devices = tuple(dict.fromkeys(hubs))
            request = HubRequest(devices, named, form, emulator, allow_upload, typed_soc, deadline)
            rest["components"] = COMPONENTS
        else:
            _refuse_without_hub(context)
        return command(hub_request=request, soc=soc, **rest)

    wrapped: Command = with_request
    for each in _OPTIONS:
        wrapped = each(wrapped)
    return wrapped


_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    allow_upload_option,
    deadline_option(
        CHECKS, "With --hub: how long to wait for the jobs; they go on there, and the same command finds them."
    ),
    option(
        "--emulator/--no-emulator",
        group=CHECKS,
        default=True,
        help="With --hub: run the same inputs on the emulator, too; it takes minutes a call at full size.",
    ),
    option(
        "--hub-form",
        "form",
        group=CHECKS,
        type=click.Choice(["bin", "onnx"]),
        default="bin",
        help="With --hub: upload the context binary, which QNN runs, or an EPContext ONNX for ONNX Runtime.",
    ),
    option(
        "--hub",
        "hubs",
        group=TARGET,
        multiple=True,
        metavar="DEVICE",
        default_text="none",
        help="Run the binaries on a device at Qualcomm AI Hub: its name, its chip's or its SoC's; compare. Repeatable.",
    ),
)


def _refuse_without_hub(context: click.Context) -> None:
    for parameter, name in _OF_HUB.items():
        if is_typed(context, parameter):
            raise SettingError(f"{name} has no meaning without --hub", hint="Add --hub DEVICE, or leave it out.")
