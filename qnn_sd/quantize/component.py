"""Quantizes one component."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from qnn_sd.quantize.encodings import write_json
from qnn_sd.quantize.qdq import QdqWriter
from qnn_sd.quantize.ranges import measure
from qnn_sd.runner import Feeds

ENCODINGS_FILE = "encodings.json"


def quantize_component(
    source: Path, samples: Iterable[Feeds], folder: Path, each: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Writes a component's W8A16 QDQ graph and its encodings to ``folder``.

    Args:
        source: folder of the float model.
        samples: calibration feeds by input name, shapes and dtypes as the graph's inputs.
        folder: existing empty folder.
        each: called after each sample.

    Returns:
        Facts for the manifest.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, an op that no rule covers.
    """
    ranges = measure(source, samples, each)
    writer = QdqWriter(source, ranges, folder)
    writer.write()
    write_json(folder / ENCODINGS_FILE, writer.activations, writer.parameters)
    return {"activations": len(writer.activations), "parameters": len(writer.parameters)}
