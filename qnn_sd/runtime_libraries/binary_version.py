"""The QAIRT version that compiled a context binary, read from its EPContext file."""

from __future__ import annotations

from pathlib import Path

import onnx

from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.toolchain import load_toolchains, version

# As onnxruntime-qnn writes them: v<QAIRT>.<build>, and v2:<...>:<QAIRT>:<backend>:<htp_arch>:<soc_model>:..., which up
# to 2.4.0 had no v2 in front.
_COMPATIBILITY = "ep_compatibility_info.QNNExecutionProvider"
_SDK_VERSION = "ep_sdk_version"


def qairt_version_of(epcontext_onnx: Path) -> str:
    """The QAIRT version that compiled an EPContext file's binary, such as ``2.50.40``.

    Raises:
        RuntimeLibraryError: the file can't be read, or doesn't have the version.
    """
    oldest = load_toolchains().sets[0].onnxruntime_qnn
    hint = f"Create it with qnn-sd compile, or with onnxruntime-qnn {oldest} or newer."
    try:
        model = onnx.load(str(epcontext_onnx), load_external_data=False)
    except Exception as error:  # protobuf's own error is not importable everywhere
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RuntimeLibraryError(f"{epcontext_onnx} can't be read", why=first, hint=hint) from error
    candidates = [
        attribute.s.decode("ascii", "replace")
        for node in model.graph.node
        if node.op_type == "EPContext"
        for attribute in node.attribute
        if attribute.name == _SDK_VERSION
    ]
    for entry in model.metadata_props:
        if entry.key == _COMPATIBILITY:
            fields = entry.value.split(":")
            candidates += fields[2:3] if fields[0].startswith("v") else fields[1:2]
    for text in candidates:
        try:
            return ".".join(map(str, version(text)))
        except ValueError:
            continue
    raise RuntimeLibraryError(
        f"{epcontext_onnx} doesn't say which QAIRT version compiled it",
        why=f"It has no {_COMPATIBILITY} and no {_SDK_VERSION}.",
        hint=hint,
    )
