"""The services of adbd that a virtual phone has (AOSP's ``docs/dev/services.md``).

``host:`` services and forwards belong to the adb server. What isn't here (``framebuffer:``, ``reverse:``, ``tcp:``,
``reboot:``, ...) is closed, as adbd closes a service that it doesn't know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qnn_sd.virtual_phone.adbd.shell_service import ShellService
from qnn_sd.virtual_phone.adbd.socket_service import SocketService
from qnn_sd.virtual_phone.adbd.stream import Stream
from qnn_sd.virtual_phone.adbd.sync_service import SyncService
from qnn_sd.virtual_phone.adbd.usb_cable import UsbCable
from qnn_sd.virtual_phone.android.device import Device

# Only what is implemented is announced (``docs/dev/`` of AOSP's adb; the names are transport.cpp's).
FEATURES = (
    "shell_v2",
    "stat_v2",
    "ls_v2",
    "fixed_push_mkdir",
    "fixed_push_symlink_timestamp",
    "sendrecv_v2",
    "sendrecv_v2_dry_run_send",
)
_BANNER_PROPERTIES = ("ro.product.name", "ro.product.model", "ro.product.device")


def connection_banner(properties: dict[str, str]) -> bytes:
    """What CNXN says of the phone (``get_connection_string`` of AOSP's ``adb.cpp``)."""
    values = ";".join(f"{name}={properties[name]}" for name in _BANNER_PROPERTIES)
    return f"device::{values};features={','.join(FEATURES)}".encode()


@dataclass(frozen=True)
class Services:
    """Finds a service by its name.

    Attributes:
        device: the phone.
        sync: file transfer.
        sockets: abstract sockets.
        cable: can be unplugged while data is sent to a shell.
    """

    device: Device
    sync: SyncService
    sockets: SocketService
    cable: UsbCable

    def find(self, name: str) -> Callable[[Stream], None] | None:
        """The service of a name such as ``shell,v2,raw:ls``; None if there is no such service."""
        kind, colon, argument = name.partition(":")
        if not colon:
            return None
        if kind == "sync":
            return self.sync
        if kind == "localabstract":
            return self.sockets.connect(argument)
        if kind == "exec":
            return ShellService(self.device, argument, protocol=False, terminal=False, cable=self.cable)
        service, *options = kind.split(",")
        if service != "shell":
            return None
        # Without options, a shell gets a terminal unless it has a command (ShellService of services.cpp).
        terminal = "pty" in options or ("raw" not in options and not argument)
        return ShellService(self.device, argument, protocol="v2" in options, terminal=terminal, cable=self.cable)
