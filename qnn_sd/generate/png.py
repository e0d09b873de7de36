"""Writes an image with what made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qnn_sd.output_files import written_aside


def save_png(path: Path, image: NDArray[np.uint8], facts: Mapping[str, object]) -> None:
    """Saves RGB pixels [H, W, 3] with facts as text chunks; the file appears whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    info = PngInfo()
    for key, value in facts.items():
        # iTXt holds any Unicode; lone surrogates from a shell are no Unicode.
        info.add_itxt(key, str(value).encode("utf-8", "replace").decode("utf-8"))
    with written_aside(path) as aside:
        Image.fromarray(image).save(aside, format="PNG", pnginfo=info)
