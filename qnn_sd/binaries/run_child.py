"""The child process that runs a raw context binary: ``python -m qnn_sd.binaries.run_child REQUEST_JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from qnn_sd.compile.compiler_child import die_with_parent


def main() -> int:
    """Runs what the request describes and writes the outputs; a failure's message goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    from qnn_sd import qnn_provider  # noqa: PLC0415 (it loads the runtime)
    from qnn_sd.binaries.binary_info import BinaryGraph  # noqa: PLC0415
    from qnn_sd.binaries.raw_node import write_raw_model  # noqa: PLC0415
    from qnn_sd.reference import outputs_of  # noqa: PLC0415

    folder = Path(request["folder"])
    try:
        model = folder / "raw_ctx.onnx"
        write_raw_model(BinaryGraph.model_validate(request["graph"]), "binary.bin", model)
        options = qnn_provider.htp_options(request["soc_model"], request["htp_arch"])
        session = qnn_provider.session(model, options)
        for number, path in enumerate(request["samples"]):
            with np.load(path, allow_pickle=False) as stored:
                feeds = {name: stored[name] for name in stored.files}
            np.savez(folder / f"answer{number}.npz", allow_pickle=False, **outputs_of(session, feeds))
    except Exception as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
