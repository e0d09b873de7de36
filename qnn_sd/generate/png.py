"""PNG files with what made them: written, and read back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qnn_sd.errors import SettingError
from qnn_sd.image_metadata import plain_text
from qnn_sd.output_files import written_aside


def save_png(path: Path, image: NDArray[np.uint8], facts: Mapping[str, object]) -> None:
    """Saves RGB pixels [H, W, 3] with facts as text chunks; the file appears whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    info = PngInfo()
    for key, value in facts.items():
        # tEXt where Latin-1 has all letters, else iTXt: some readers of the former don't know the latter.
        info.add_text(key, plain_text(str(value)))
    with written_aside(path) as aside:
        Image.fromarray(image).save(aside, format="PNG", pnginfo=info)


def read_png(path: Path) -> tuple[dict[str, str], tuple[int, int]]:
    """The text chunks of a PNG file, and its width and height in pixels. Pixels are only read where no text precedes.

    Raises:
        SettingError: it is missing, no PNG file, or damaged.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as image:
            if not any(isinstance(value, str) for value in image.info.values()):
                image.load()
            found = {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}
            return found, image.size
    except FileNotFoundError as error:
        raise SettingError(f"{path} is missing", hint="Give --like an image that is there.") from error
    # Pillow raises many kinds for files that are damaged, or made to do damage.
    except Exception as error:
        why = "It is a folder." if path.is_dir() else (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError(
            f"{path} can't be read as a PNG image",
            why=why,
            hint="Give the file as it was made: what other programs save anew may lack its metadata.",
        ) from error


def read_pixels(path: Path) -> NDArray[np.uint8] | None:
    """RGB pixels [H, W, 3] of a PNG file; None where they can't be read."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except Exception:
        return None
