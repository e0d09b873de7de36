"""adb's client: its server, the phones that it lists, and commands, files and sockets of one phone."""

from qnn_sd.targets.adb.client.connection_errors import examine
from qnn_sd.targets.adb.client.device_history import READY, DeviceHistory
from qnn_sd.targets.adb.client.device_info import (
    PhoneInfo,
    choose_profile,
    free_bytes,
    is_virtual,
    other_soc,
    phone_info,
    profile_of,
    system_properties,
)
from qnn_sd.targets.adb.client.device_selection import choose_phone
from qnn_sd.targets.adb.client.phone import Phone
from qnn_sd.targets.adb.client.remote_process import CommandEndedError, RemoteProcess, ShellResult
from qnn_sd.targets.adb.client.running_server import listed_devices
from qnn_sd.targets.adb.client.server import Adb, AdbDevice

__all__ = [
    "READY",
    "Adb",
    "AdbDevice",
    "CommandEndedError",
    "DeviceHistory",
    "Phone",
    "PhoneInfo",
    "RemoteProcess",
    "ShellResult",
    "choose_phone",
    "choose_profile",
    "examine",
    "free_bytes",
    "is_virtual",
    "listed_devices",
    "other_soc",
    "phone_info",
    "profile_of",
    "system_properties",
]
