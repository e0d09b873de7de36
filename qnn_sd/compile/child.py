"""The child process of the compiler: ``python -m qnn_sd.compile.child REQUEST_JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qnn_sd import qnn


def main() -> int:
    """Compiles what the request describes; the message of a failure goes to stdout."""
    request = json.loads(sys.argv[1])
    options = qnn.htp_options(request["soc_model"], request["htp_arch"])
    options["htp_graph_finalization_optimization_mode"] = str(request["optimization_mode"])
    entries = {
        "ep.context_enable": "1",
        "ep.context_file_path": request["context"],
        "ep.context_embed_mode": "0",
    }
    try:
        qnn.session(Path(request["model"]), options, entries)
    except Exception as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
