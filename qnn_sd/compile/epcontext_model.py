"""The EPContext wrapper, as plain as its graph allows.

ONNX Runtime writes the file with its own newest IR version and every domain that it knows: 1.32 writes IR version 14,
which the ONNX Runtime of no published phone library loads (13 at most). The graph needs far less.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from qnn_sd.output_files import written_aside

# The first IR version that knows opset 21, the one of our QDQ graphs (onnx.helper.VERSION_TABLE).
IR_VERSION = 10
_ONNX = ("", "ai.onnx")


def simplify_wrapper(path: Path) -> None:
    """Rewrites an EPContext file in the lowest IR version that its graph needs, with no domain that no node is of.

    Args:
        path: the file; its context binary stays as it is.

    Raises:
        OutputError: it can't be written.
    """
    model = onnx.load(str(path), load_external_data=False)
    used = {node.domain for node in model.graph.node} | set(_ONNX)
    kept = [entry for entry in model.opset_import if entry.domain in used]
    plain = [onnx.helper.make_opsetid("", entry.version) for entry in kept if entry.domain in _ONNX]
    needed = onnx.helper.find_min_ir_version_for(plain, ignore_unknown=True)
    copies = [onnx.helper.make_opsetid(entry.domain, entry.version) for entry in kept]
    del model.opset_import[:]
    model.opset_import.extend(copies)
    model.ir_version = max(IR_VERSION, needed)
    with written_aside(path) as aside:
        aside.write_bytes(model.SerializeToString())
