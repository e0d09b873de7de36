"""A virtual phone: an adb device on loopback, for tests and for people without a phone.

``VirtualPhone`` is the phone; ``parse_faults`` reads the failures that it is to show. ``find_java`` and
``link_desktop_libraries`` give what a worker needs on this machine: a Java, and the libraries that the desktop build of
ONNX Runtime has in place of a phone's. Other packages import these names only, never a module of this package.
"""

from qnn_sd.virtual_phone.android.desktop_java import find_java, link_desktop_libraries
from qnn_sd.virtual_phone.android.system_files import Battery
from qnn_sd.virtual_phone.faults import Faults, parse_faults
from qnn_sd.virtual_phone.phone import DEFAULT_SERIAL, VirtualPhone

__all__ = [
    "DEFAULT_SERIAL",
    "Battery",
    "Faults",
    "VirtualPhone",
    "find_java",
    "link_desktop_libraries",
    "parse_faults",
]
