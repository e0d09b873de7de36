"""The compiler's child process for several graphs: ``python -m qnn_sd.compile.shared_weights_child REQUEST_JSON``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import onnxruntime

from qnn_sd import qnn_provider
from qnn_sd.compile.compiler_child import die_with_parent
from qnn_sd.compile.sample_files import read_samples, write_answers
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import outputs_of


def main() -> int:
    """Compiles the graphs that the request describes, and runs those for which it has samples.

    The message of a failure goes to stdout.
    """
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    from qnn_sd.compile.run_binary import qdq_outputs  # noqa: PLC0415

    runs = request["runs"]
    try:
        samples = {size: read_samples(each["samples"]) for size, each in runs.items()}
        # Before the compiler's gigabytes.
        expected = {size: qdq_outputs(Path(each["qdq"]), samples[size]) for size, each in runs.items()}
        sessions = _compile(request)
        for size, each in runs.items():
            found = [outputs_of(sessions[size], feeds) for feeds in samples[size]]
            write_answers(Path(each["answer"]), expected[size], found)
    except Exception as error:
        print(error, flush=True)
        # QNN aborts a process that ends in order while a context waits for further graphs, as if it had crashed.
        os._exit(1)
    return 0


def _compile(request: dict[str, Any]) -> dict[str, onnxruntime.InferenceSession]:
    """The sessions by size, all alive: the last one to be made writes the binary of all."""
    options = {
        **qnn_provider.htp_options(request["soc_model"], request["htp_arch"]),
        "htp_graph_finalization_optimization_mode": str(request["level"]),
        "enable_htp_weight_sharing": "1",
    }
    sessions = {}
    for source, context, size in request["sessions"]:
        entries = {
            "ep.context_enable": "1",
            "ep.context_file_path": context,
            "ep.context_embed_mode": "0",
            "ep.share_ep_contexts": "1",
        }
        if size == request["sessions"][-1][2]:
            entries["ep.stop_share_ep_contexts"] = "1"
        sessions[size] = qnn_provider.session(Path(source) / MODEL_FILE, options, entries)
    return sessions


if __name__ == "__main__":
    sys.exit(main())
