"""The state of the phone, as its shell and its commands see it."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.virtual_phone.android.desktop_java import DesktopJava
from qnn_sd.virtual_phone.android.file_system import FileSystem
from qnn_sd.virtual_phone.android.processes import ProcessTable
from qnn_sd.virtual_phone.android.system_files import Battery
from qnn_sd.virtual_phone.thread_group import ThreadGroup


@dataclass(frozen=True)
class Device:
    """One phone.

    Attributes:
        files: its file system.
        processes: its running processes.
        threads: the threads that shells and services run in.
        properties: Android's system properties, by name.
        battery: the state of the battery.
        java: runs Java classes, as ``app_process`` does.
    """

    files: FileSystem
    processes: ProcessTable
    threads: ThreadGroup
    properties: dict[str, str]
    battery: Battery
    java: DesktopJava
