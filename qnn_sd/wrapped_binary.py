"""ONNX files that wrap a context binary of somebody else's: an EPContext node, and nodes for the CPU around it.

The nodes around it turn inputs and outputs into those of our components: another layout, quantized, other names. They
run on ONNX Runtime's CPU provider beside the HTP, so a session of such a file may not refuse all nodes on the CPU.
What may be on the CPU is settled by the file instead: only the ops in ``AROUND``. The network itself is the EPContext
node, which the CPU provider can't run: it is on the HTP, or the session isn't made.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from qnn_sd.errors import ArtifactError

# Of the names of the node's inputs and outputs: those of the component may be the same, with other types.
PREFIX = "binary:"
AROUND = frozenset(("Add", "Cast", "DequantizeLinear", "Identity", "Mul", "QuantizeLinear", "Reshape", "Transpose"))
# Session config entries of such a file.
ENTRIES = {"session.disable_cpu_ep_fallback": "0"}


def check_wrapped(path: Path) -> None:
    """Refuses a file in which the CPU would compute more than what wraps one binary.

    Raises:
        ArtifactError: it can't be read, has no EPContext node or several, or ops that aren't in ``AROUND``.
    """
    hint = "Fetch it again: qnn-sd fetch."
    try:
        nodes = onnx.load(str(path), load_external_data=False).graph.node
    except Exception as error:  # protobuf's own error is not importable everywhere
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} can't be read as ONNX", why=first, hint=hint) from error
    contexts = sum(node.op_type == "EPContext" for node in nodes)
    others = {node.op_type for node in nodes} - {"EPContext"} - AROUND
    if contexts != 1 or others:
        found = f"It has {contexts} EPContext nodes" + (f", and {', '.join(sorted(others))}." if others else ".")
        raise ArtifactError(f"{path} doesn't wrap one context binary", why=found, hint=hint)
