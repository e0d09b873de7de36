"""The child process of a verification: ``python -m qnn_sd.compile.verifier_child REQUEST_JSON``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from qnn_sd.compile.compiler_child import die_with_parent
from qnn_sd.compile.sample_files import read_samples, write_answers


def main() -> int:
    """Runs what the request describes and writes both graphs' outputs; a failure's message goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    os.sched_setaffinity(0, [request["core"]])
    from qnn_sd.compile.run_binary import run_both  # noqa: PLC0415 (loads the runtime: after the core is chosen)

    samples = read_samples(request["samples"])
    try:
        expected, found = run_both(
            Path(request["qdq"]), Path(request["compiled"]), request["soc_model"], request["htp_arch"], samples
        )
    except Exception as error:
        print(error, flush=True)
        return 1
    write_answers(Path(request["answer"]), expected, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
