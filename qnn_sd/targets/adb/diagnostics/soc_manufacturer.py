"""What the QNN plugin makes of a phone's ``ro.soc.manufacturer``: it decides whether it offers a device."""

from __future__ import annotations

from qnn_sd.toolchain import version

# onnxruntime-qnn, pull request 683, in the notes of 2.5. Before it the plugin looked into /dev, closed to apps.
_READS_IT = (2, 5)
# Pull request 826, merged 2026-09-15: not in the notes of 2.6.
_KNOWS_QUALCOMM = (2, 7)
_PROPERTY = "ro.soc.manufacturer"


def manufacturer_finding(manufacturer: str, plugin: str | None) -> tuple[str, bool]:
    """What a plugin makes of it, for people.

    Args:
        manufacturer: the property; empty where the phone doesn't report it.
        plugin: version of the plugin, such as ``2.6.0``; None where it isn't known.

    Returns:
        the text, and whether it says that the plugin may offer no device.
    """
    known = version(plugin)[:2] if plugin else None
    has = f"the plugin is {plugin}" if plugin else "the plugin's version isn't known"
    said = f"{_PROPERTY} is {manufacturer or 'empty'}, {has}"
    if known is not None and known < _READS_IT:
        return f"{said}: it looks into /dev instead, as a shell may and an app may not; 2.5 reads the property", False
    if manufacturer == "QTI":
        return f"{said}: 2.5 and later know QTI", False
    if manufacturer == "Qualcomm":
        enough = known is not None and known >= _KNOWS_QUALCOMM
        return f"{said}: 2.7 and later know Qualcomm, 2.5 and 2.6 only QTI", not enough
    if not manufacturer:
        return f"{said}: 2.5 and later need QTI there, which Android 12 and later report", True
    return f"{said}, which is no name of Qualcomm's", True
