"""The log of a failed job: the lines of it that say why."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from qnn_sd.ai_hub.api import Api, CallFailed
from qnn_sd.in_words import shown

_LINES = 8
_LINE_LETTERS = 160
_MOST_BYTES = 4_000_000
_TELLING = re.compile(
    r"error|fail|fatal|abort|exception|not supported|invalid|mismatch|refus|denied|Must use|0x[0-9a-f]+", re.I
)


def log_of(api: Api, job_id: str) -> str:
    """The logs of a job as AI Hub keeps them; empty where there are none, or none can be had.

    Args:
        api: of the account.
        job_id: of a job that has ended.
    """
    with tempfile.TemporaryDirectory(prefix="qnn-sd-") as folder:
        try:
            job = api.attempt(f"look at the job {job_id} at AI Hub", api.client.get_job, job_id)
            paths = api.attempt(f"fetch the logs of {job_id} from AI Hub", job.download_job_logs, folder)
        except CallFailed:
            # What is known without it is told all the same.
            return ""
        return "\n".join(_tail(Path(path)) for path in paths)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST_BYTES))
        return file.read().decode("utf-8", "replace")


def excerpt(log: str) -> list[str]:
    """The last lines that tell of an error, or else the last ones."""
    lines = [shown(line.strip(), _LINE_LETTERS) for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    return list(dict.fromkeys(telling or lines))[-_LINES:]
