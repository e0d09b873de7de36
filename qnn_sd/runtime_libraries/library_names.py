"""Names of libraries: which are taken from which artifact, and which a phone needs.

They are from the documentation of Qualcomm's QAIRT SDK ("HTP backend", "Running on Android") and of ONNX Runtime's Java
API.
"""

from __future__ import annotations

import re

SYSTEM_LIBRARIES = ("libQnnHtp.so", "libQnnSystem.so")
ONNXRUNTIME_LIBRARIES = ("libonnxruntime.so", "libonnxruntime4j_jni.so")
# Prepare is the compiler (90 MB), which a context binary doesn't need. The phone has its own libcdsprpc.
EXCLUDED_LIBRARIES = ("libQnnHtpPrepare.so", "libcdsprpc.so")

_STUB_OR_SKEL = re.compile(r"libQnnHtpV(\d+)(Stub|Skel)\.so")
_PLUGIN = re.compile(r"libonnxruntime\w*qnn\w*\.so", re.IGNORECASE)


def is_skel(name: str) -> bool:
    """Whether a library runs on the Hexagon itself."""
    match = _STUB_OR_SKEL.fullmatch(name)
    return match is not None and match[2] == "Skel"


def is_qnn(name: str) -> bool:
    """Whether a library is taken from QNN's artifact."""
    return name in SYSTEM_LIBRARIES or _STUB_OR_SKEL.fullmatch(name) is not None


def is_onnxruntime(name: str) -> bool:
    """Whether a library is taken from ONNX Runtime's artifact."""
    return name in ONNXRUNTIME_LIBRARIES


def is_plugin(name: str) -> bool:
    """Whether a library is the execution provider itself."""
    return _PLUGIN.fullmatch(name) is not None


def is_from_plugin_artifact(name: str) -> bool:
    """Whether a library is taken from the plugin's artifact: all that the other two artifacts don't have."""
    return not (name.startswith("libQnn") or is_onnxruntime(name) or name in EXCLUDED_LIBRARIES)


def htp_libraries(htp_arch: int) -> tuple[str, str]:
    """The stub (for the CPU) and the skel (for the Hexagon) of an HTP."""
    return f"libQnnHtpV{htp_arch}Stub.so", f"libQnnHtpV{htp_arch}Skel.so"


def htp_archs(names: list[str]) -> list[int]:
    """The HTP architectures that have both stub and skel among some libraries."""
    found = {int(match[1]) for match in map(_STUB_OR_SKEL.fullmatch, names) if match}
    return sorted(arch for arch in found if set(htp_libraries(arch)) <= set(names))
