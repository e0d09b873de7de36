"""The child process of a verification: ``python -m qnn_sd.compile.verifier_child REQUEST_JSON``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from qnn_sd.compile.compiler_child import die_with_parent


def main() -> int:
    """Runs what the request describes and writes both graphs' outputs; a failure's message goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    os.sched_setaffinity(0, [request["core"]])
    from qnn_sd.compile.run_binary import run_both  # noqa: PLC0415 (loads the runtime: after the core is chosen)

    samples = []
    for path in request["samples"]:
        with np.load(path, allow_pickle=False) as stored:
            samples.append(dict(stored))
    try:
        expected, found = run_both(
            Path(request["qdq"]), Path(request["compiled"]), request["soc_model"], request["htp_arch"], samples
        )
    except Exception as error:
        print(error, flush=True)
        return 1
    stacked = {
        f"{side}/{name}": np.stack([answer[name] for answer in answers])
        for side, answers in (("expected", expected), ("found", found))
        for name in answers[0]
    }
    np.savez(request["answer"], allow_pickle=False, **stacked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
