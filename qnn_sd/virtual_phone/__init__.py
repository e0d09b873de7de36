"""A virtual phone: an adb device on loopback, for tests and for people without a phone."""

from qnn_sd.virtual_phone.faults import Faults, parse_faults
from qnn_sd.virtual_phone.phone import DEFAULT_SERIAL, VirtualPhone
from qnn_sd.virtual_phone.properties import Battery

__all__ = ["DEFAULT_SERIAL", "Battery", "Faults", "VirtualPhone", "parse_faults"]
