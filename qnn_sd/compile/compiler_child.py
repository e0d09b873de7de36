"""The child process of the compiler: ``python -m qnn_sd.compile.compiler_child REQUEST_JSON``."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from qnn_sd import qnn_provider

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before we asked
        sys.exit(1)


def main() -> int:
    """Compiles what the request describes; the message of a failure goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    from qnn_sd.onnx_files import MODEL_FILE  # noqa: PLC0415

    options = {**qnn_provider.htp_options(request["soc_model"], request["htp_arch"]), **request["options"]}
    entries = {
        "ep.context_enable": "1",
        "ep.context_file_path": request["context"],
        "ep.context_embed_mode": "0",
    }
    try:
        qnn_provider.session(Path(request["source"]) / MODEL_FILE, options, entries, verbose=request["verbose"])
    except Exception as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
