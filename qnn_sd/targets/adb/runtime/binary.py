"""Which QAIRT version compiled a context binary, as its EPContext file tells."""

from __future__ import annotations

from pathlib import Path

import onnx

from qnn_sd.errors import RuntimeLibraryError
from qnn_sd.targets.adb.runtime.pins import version

# As onnxruntime-qnn writes them: v2:<...>:<QAIRT>:<backend>:<htp_arch>:<soc_model>:... and v<QAIRT>.<build>.
_COMPATIBILITY = "ep_compatibility_info.QNNExecutionProvider"
_SDK_VERSION = "ep_sdk_version"


def qairt_version_of(epcontext_onnx: Path) -> str:
    """The QAIRT version that compiled an EPContext file's binary, such as ``2.51.0``.

    Raises:
        RuntimeLibraryError: the file can't be read, or doesn't tell.
    """
    hint = "Make it with qnn-sd compile, or with onnxruntime-qnn 2.6 or newer."
    try:
        model = onnx.load(str(epcontext_onnx), load_external_data=False)
    except Exception as error:  # protobuf's own error is not importable everywhere
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RuntimeLibraryError(f"{epcontext_onnx} can't be read", why=first, hint=hint) from error
    told = [
        fields[2] for p in model.metadata_props if p.key == _COMPATIBILITY and len(fields := p.value.split(":")) > 2
    ]
    told += [
        attribute.s.decode("ascii", "replace")
        for node in model.graph.node
        if node.op_type == "EPContext"
        for attribute in node.attribute
        if attribute.name == _SDK_VERSION
    ]
    for text in told:
        try:
            return ".".join(map(str, version(text)))
        except ValueError:
            continue
    raise RuntimeLibraryError(
        f"{epcontext_onnx} doesn't tell which QAIRT version compiled it",
        why=f"It has no {_COMPATIBILITY} and no {_SDK_VERSION}.",
        hint=hint,
    )
