"""The child process that writes a DLC: ``python -m qnn_sd.compile.dlc_child REQUEST_JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qnn_sd import qnn_provider
from qnn_sd.compile.compiler_child import die_with_parent
from qnn_sd.onnx_files import MODEL_FILE


def main() -> int:
    """Writes what the request describes; the message of a failure goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    options = {
        **qnn_provider.htp_options(request["soc_model"], request["htp_arch"]),
        "dump_qnn_ir_dlc": "1",
        "dump_qnn_ir_dlc_dir": request["folder"],
        "qnn_ir_backend_path": str(qnn_provider.library("libQnnIr.so")),
    }
    try:
        qnn_provider.session(Path(request["source"]) / MODEL_FILE, options)
    except Exception as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
