"""The libraries' names: which are wanted, from which artifact, and which a phone needs.

The names and what goes together are from the documentation of Qualcomm's QAIRT SDK ("HTP backend",
"Running on Android") and of ONNX Runtime's Java API.
"""

from __future__ import annotations

import re

SYSTEM_LIBRARIES = ("libQnnHtp.so", "libQnnSystem.so")
ONNXRUNTIME_LIBRARIES = ("libonnxruntime.so", "libonnxruntime4j_jni.so")
# Prepare is the compiler, 90 MB that a compiled binary doesn't need. The other is the phone's own.
NEVER = ("libQnnHtpPrepare.so", "libcdsprpc.so")

_HTP = re.compile(r"libQnnHtpV(\d+)(Stub|Skel)\.so")
_PLUGIN = re.compile(r"libonnxruntime\w*qnn\w*\.so", re.IGNORECASE)


def is_skel(name: str) -> bool:
    """Whether a library runs on the Hexagon itself."""
    match = _HTP.fullmatch(name)
    return match is not None and match[2] == "Skel"


def is_qnn(name: str) -> bool:
    """Whether a library is taken from QNN's runtime."""
    return name in SYSTEM_LIBRARIES or _HTP.fullmatch(name) is not None


def is_onnxruntime(name: str) -> bool:
    """Whether a library is taken from ONNX Runtime."""
    return name in ONNXRUNTIME_LIBRARIES


def is_plugin(name: str) -> bool:
    """Whether a library is the execution provider itself."""
    return _PLUGIN.fullmatch(name) is not None


def is_plugins(name: str) -> bool:
    """Whether a library is taken from the plugin's artifact: all that the other two don't bring."""
    return not (name.startswith("libQnn") or is_onnxruntime(name) or name in NEVER)


def htp_libraries(htp_arch: int) -> tuple[str, str]:
    """The CPU's and the Hexagon's half of one HTP's libraries."""
    return f"libQnnHtpV{htp_arch}Stub.so", f"libQnnHtpV{htp_arch}Skel.so"


def htp_archs(names: list[str]) -> list[int]:
    """The HTP architectures that have both their halves among some libraries."""
    known = {int(match[1]) for match in map(_HTP.fullmatch, names) if match}
    return sorted(arch for arch in known if set(htp_libraries(arch)) <= set(names))
