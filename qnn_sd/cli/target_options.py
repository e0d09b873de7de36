"""The options that say where an image is generated."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import click

from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.help import TARGET, option
from qnn_sd.cli.options import DEFAULT_SOC, Command, device_option, open_profile, soc_option
from qnn_sd.cli.upload_consent import allow_upload_option
from qnn_sd.cli.value_types import Target
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.targets.adb.client import Adb, Phone, choose_phone, choose_profile
from qnn_sd.targets.adb.session.warm_worker import WARM_SECONDS

TARGETS = ("emulator", "cpu", "phone")
_HUB = "hub:"


@dataclass(frozen=True)
class TargetOptions:
    """What was typed; None where nothing was.

    Attributes:
        target: one of ``TARGETS``, or ``hub:`` and the name of a device at AI Hub.
        device: the phone's serial number.
        soc: whose context binaries run.
        precision: of the graphs that run on the CPU.
        fallback: whether the CPU runs what the target can't load.
        keep_alive: whether the phone's worker stays warm.
        allow_upload: whether a user's checkpoint may be uploaded to AI Hub without asking.
    """

    target: str
    device: str | None
    soc: str | None
    precision: str | None
    fallback: bool
    keep_alive: bool
    allow_upload: bool = False

    @property
    def hub_device(self) -> str | None:
        """The device at AI Hub that is meant; None for another target."""
        return self.target.removeprefix(_HUB) if self.target.startswith(_HUB) else None

    def check(self, build_request: BuildRequest) -> None:
        """Before any work.

        Raises:
            SettingError: options that don't go together.
        """
        target = self.target
        if target != "phone" and self.device is not None:
            raise SettingError(f"--device has no meaning with --target {target}", hint="Leave one of them out.")
        if target != "phone" and self.keep_alive:
            raise SettingError(f"--keep-alive has no meaning with --target {target}", hint="Leave one of them out.")
        if self.hub_device is None and self.allow_upload:
            raise SettingError(
                f"--allow-upload has no meaning with --target {target}", hint="Nothing is uploaded: leave it out."
            )
        if target == "cpu" and self.soc is not None:
            raise SettingError("--soc has no meaning with --target cpu", hint="Leave one of them out.")
        if target != "cpu" and self.precision is not None:
            raise SettingError(f"--precision has no meaning with --target {target}", hint="Add --target cpu.")
        if target == "cpu" and self.precision != "w8a16":
            for name, given in (("--prompts", build_request.prompts), ("--encodings", build_request.encodings)):
                if given is not None:
                    raise SettingError(
                        f"{name} has no meaning for float graphs", hint="Add --precision w8a16, or leave it out."
                    )

    def phone(self, console: Console) -> Phone | None:
        """The phone that is meant, waited for if it is just coming; None for another target.

        Raises:
            DeviceError: there is none, there are several, or it can't be used.
        """
        return choose_phone(Adb(), self.device, console.say) if self.target == "phone" else None

    def profile(self, phone: Phone | None, console: Console) -> DeviceProfile | None:
        """Whose context binaries run; None for the CPU's float or QDQ graphs.

        Raises:
            UnknownSocError: no such profile, or none for the phone's SoC.
        """
        if self.target == "cpu":
            return None
        if phone is None:
            return open_profile(self.soc or DEFAULT_SOC, console)
        return chosen_profile(phone, self.soc, console)


def chosen_profile(phone: Phone, soc: str | None, console: Console) -> DeviceProfile:
    """Whose context binaries a phone gets; warns where they are another SoC's than the phone's.

    Raises:
        UnknownSocError: no such profile, or none for the phone's SoC.
    """
    choice = choose_profile(phone, soc)
    for remark in filter(None, (choice.remark, choice.profile.caution)):
        console.warn(remark)
    return choice.profile


_OPTIONS = (
    option(
        "--target",
        group=TARGET,
        type=Target([*TARGETS, f"{_HUB}DEVICE"]),
        default_text="phone with --device, else emulator",
        help="Where components run; hub:DEVICE is a device at Qualcomm AI Hub, a job for each call.",
    ),
    device_option,
    soc_option(
        "whose context binaries run; not with --target cpu", default_text=f"the phone's; {DEFAULT_SOC} on the emulator"
    ),
    option(
        "--precision",
        group=TARGET,
        type=click.Choice(["float", "w8a16"]),
        default_text="float",
        help="Graphs that run with --target cpu: the float model's or QDQ graphs.",
    ),
    option(
        "--fallback/--no-fallback",
        group=TARGET,
        default=True,
        help="Run on the CPU what the target can't load; each such component is named.",
    ),
    option(
        "--keep-alive",
        group=TARGET,
        is_flag=True,
        help=f"Leave the phone's worker warm for {WARM_SECONDS // 60} minutes: the next run loads nothing.",
    ),
    allow_upload_option,
)


def target_options(command: Command) -> Command:
    """Where an image is generated, handed on as ``where``."""

    @functools.wraps(command)
    def with_target(
        target: str | None,
        device: str | None,
        soc: str | None,
        precision: str | None,
        fallback: bool,
        keep_alive: bool,
        allow_upload: bool,
        **rest: Any,
    ) -> Any:
        target = target or ("emulator" if device is None else "phone")
        where = TargetOptions(target, device, soc, precision, fallback, keep_alive, allow_upload)
        return command(where=where, **rest)

    wrapped: Command = with_target
    for each in reversed(_OPTIONS):
        wrapped = each(wrapped)
    return wrapped
