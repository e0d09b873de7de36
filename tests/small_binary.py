"""A small context binary: ``graphs.small_graph``, quantized and compiled.

``tests/data/qairt-<release>.bin`` are such binaries for Snapdragon 8 Gen 3, by compilers that aren't installed: too new
and old ones can't be made here. How they were made, for each set of toolchains.toml::

    pip install --no-deps --target SET onnxruntime==1.31.1 onnxruntime-qnn==2.7.0
    PYTHONPATH=SET python tests/small_binary.py tests/data/qairt-2.51.bin
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from graphs import quantized, small_graph

from qnn_sd import qnn_provider
from qnn_sd.onnx_files import MODEL_FILE

CONTEXT, BINARY = "model_ctx.onnx", "model_ctx_qnn.bin"


def small_qdq(folder: Path) -> Path:
    """The QDQ graph's folder, ``qdq``, beside ``float``."""
    return quantized(small_graph, {"x": np.random.default_rng(0).standard_normal((1, 3, 6, 6), np.float32)}, folder)


def compile_small(
    qdq: Path,
    folder: Path,
    options: dict[str, str] | None = None,
    *,
    embed: bool = False,
    entries: dict[str, str] | None = None,
) -> Path:
    """Compiles a QDQ graph for Snapdragon 8 Gen 3; returns the folder, with the wrapper and the binary."""
    folder.mkdir()
    context = {
        "ep.context_enable": "1",
        "ep.context_file_path": str(folder / CONTEXT),
        "ep.context_embed_mode": str(int(embed)),
    }
    qnn_provider.session(
        qdq / MODEL_FILE, {**qnn_provider.htp_options(57, 75), **(options or {})}, {**context, **(entries or {})}
    )
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        made = compile_small(small_qdq(Path(scratch)), Path(scratch) / "compiled")
        shutil.copy(made / BINARY, sys.argv[1])
