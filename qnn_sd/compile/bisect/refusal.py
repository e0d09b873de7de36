"""Which ops the compiler refuses, by its own log."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from qnn_sd.compile.bisect.trial import Target
from qnn_sd.compile.process import Job, run
from qnn_sd.errors import CompileError

# QNN's validator, then ONNX Runtime's list of the nodes that it wanted to hand over together.
_COMPLAINT = re.compile(r"QnnLogging\]\s+<E>\s+(.*?)\s*$")
_REFUSED = re.compile(r"Failed to validate op (.+) with error (0x[0-9a-f]+)")
_FAILED = "Validation FAILED for"
_NODE = re.compile(r"^\s+Operator type: (\S+) Node name: (.*) Node index: \d+")
_END = re.compile(r"^\s+REASON : (.*)")


class RefusalListener:
    """Reads the compiler's verbose log.

    Attributes:
        reasons: what was said of each node that was refused, by its name.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self._complaints: list[str] = []
        self._nodes: list[str] | None = None

    def __call__(self, line: str) -> None:
        """Takes the next line."""
        if match := _REFUSED.search(line):
            said = [each for each in self._complaints if "failed" not in each]
            self.reasons.setdefault(match[1], f"{said[-1] if said else 'refused'} (error {match[2]})")
            self._complaints = []
        elif match := _COMPLAINT.search(line):
            self._complaints = [*self._complaints[-4:], match[1]]
        elif _FAILED in line:
            self._nodes = []
        elif self._nodes is not None and (match := _NODE.match(line)):
            if match[1] not in ("QuantizeLinear", "DequantizeLinear"):
                self._nodes.append(match[2])
        elif self._nodes is not None and (match := _END.match(line)):
            for name in self._nodes:
                self.reasons.setdefault(name, match[1])
            self._nodes = None


def refused_ops(target: Target, graph: Path) -> dict[str, str]:
    """The ops of a graph that the compiler refuses, with what it says of each.

    Args:
        target: what to compile for.
        graph: folder of the QDQ graph.
    """
    listener = RefusalListener()
    with tempfile.TemporaryDirectory(prefix="qnn-sd-refused-") as out:
        job = Job(graph, Path(out), target.soc_model, target.htp_arch, target.optimization_mode, verbose=True)
        try:
            run(job, listener)
        except CompileError:
            return listener.reasons
    return {}
