"""What benchmarks ask of a graph on held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds


def outputs(folder: Path, samples: Sequence[Feeds]) -> np.ndarray:
    """A graph's answers on ONNX Runtime's CPU: [samples, ...] float32."""
    session = reference_session(folder / MODEL_FILE)
    return np.array([session.run(None, dict(feeds))[0] for feeds in samples])


def sqnr_of_all_and_worst(expected: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """SQNR in dB over all samples (their power and their error added up), and of the worst sample."""
    return sqnr_db(expected, found), min(sqnr_db(a, b) for a, b in zip(expected, found, strict=True))
