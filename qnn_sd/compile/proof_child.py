"""The child process of a proof: ``python -m qnn_sd.compile.proof_child REQUEST_JSON``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from qnn_sd.compile.child import die_with


def main() -> int:
    """Measures what the request describes and writes it to the file that it names; a failure's message to stdout."""
    request = json.loads(sys.argv[1])
    die_with(request["parent"])
    os.sched_setaffinity(0, [request["core"]])
    from qnn_sd.compile.verify import sqnr_against_qdq  # noqa: PLC0415 (loads the runtime: after the core is chosen)

    samples = []
    for path in request["samples"]:
        with np.load(path, allow_pickle=False) as stored:
            samples.append(dict(stored))
    try:
        found = sqnr_against_qdq(
            Path(request["qdq"]), Path(request["compiled"]), request["soc_model"], request["htp_arch"], samples
        )
    except Exception as error:
        print(error, flush=True)
        return 1
    Path(request["answer"]).write_text(json.dumps(found), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
