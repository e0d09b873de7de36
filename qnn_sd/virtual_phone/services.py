"""The services of adbd that a virtual phone has (AOSP's ``docs/dev/services.md``).

``host:`` services and forwards are the adb server's own. What isn't here (``framebuffer:``,
``reverse:``, ``tcp:``, ``reboot:``, ...) is closed, as adbd closes what it doesn't know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qnn_sd.virtual_phone.abstract_sockets import AbstractSockets
from qnn_sd.virtual_phone.cable import Cable
from qnn_sd.virtual_phone.commands.call import Machine
from qnn_sd.virtual_phone.shell_service import ShellService
from qnn_sd.virtual_phone.stream import Stream
from qnn_sd.virtual_phone.sync_service import SyncService

# What is announced is what is implemented (``docs/dev/`` of AOSP's adb; the names are transport.cpp's).
FEATURES = (
    "shell_v2",
    "stat_v2",
    "ls_v2",
    "fixed_push_mkdir",
    "fixed_push_symlink_timestamp",
    "sendrecv_v2",
    "sendrecv_v2_dry_run_send",
)


@dataclass(frozen=True)
class Services:
    """Finds a service by its name.

    Attributes:
        machine: the phone.
        sync: file transfer.
        sockets: abstract sockets.
        cable: what can break while data comes for a shell.
    """

    machine: Machine
    sync: SyncService
    sockets: AbstractSockets
    cable: Cable

    def find(self, name: str) -> Callable[[Stream], None] | None:
        """The service of ``shell,v2,raw:ls`` and the like; None if there is no such service."""
        kind, colon, rest = name.partition(":")
        if not colon:
            return None
        if kind == "sync":
            return self.sync
        if kind == "localabstract":
            return self.sockets.connect(rest)
        if kind == "exec":
            return ShellService(self.machine, rest, protocol=False, terminal=False, cable=self.cable)
        service, *arguments = kind.split(",")
        if service != "shell":
            return None
        # Without arguments only a shell with a command does without a terminal (ShellService of services.cpp).
        terminal = "pty" in arguments or ("raw" not in arguments and not rest)
        return ShellService(self.machine, rest, protocol="v2" in arguments, terminal=terminal, cable=self.cable)
