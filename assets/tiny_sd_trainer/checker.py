"""Says what an image shows by measuring its pixels: background, and each thing's shape and colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiny_sd_trainer import scenes

# A pixel belongs to a thing if it is at least this far (in sRGB steps) from the background.
_FAR = 55.0
_TEMPLATE = 48
# Least overlap (intersection over union) with the best template for a shape to count as one.
_LEAST_OVERLAP = 0.72
# Least share of the image that a thing covers.
_LEAST_AREA = 0.01


@dataclass(frozen=True)
class Seen:
    """One thing as measured; ``overlap`` is the likeness to its shape's template, 0 to 1."""

    shape: str
    colour: str
    overlap: float


@dataclass(frozen=True)
class Finding:
    """What an image shows, things from left to right."""

    background: str
    things: tuple[Seen, ...]


def _nearest_colour(pixel: NDArray[np.float64]) -> str:
    return min(scenes.PALETTE, key=lambda name: float(np.linalg.norm(pixel - np.array(scenes.PALETTE[name]))))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The box around a mask, lone pixels left out."""
    rows, columns = mask.sum(1) >= 2, mask.sum(0) >= 2
    if not rows.any() or not columns.any():
        return None
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    left, right = np.flatnonzero(columns)[[0, -1]]
    return slice(top, bottom + 1), slice(left, right + 1)


def _fitted(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The mask's box stretched to the template's size, so that place and size don't matter."""
    box = _box(mask)
    if box is None:
        return None
    cut = mask[box]
    rows = (np.arange(_TEMPLATE) + 0.5) / _TEMPLATE * cut.shape[0]
    columns = (np.arange(_TEMPLATE) + 0.5) / _TEMPLATE * cut.shape[1]
    return cut[np.ix_(rows.astype(int), columns.astype(int))]


def _templates() -> dict[str, NDArray[np.bool_]]:
    result = {}
    for shape in scenes.SHAPES:
        thing = scenes.Thing(shape, "red", "big", 0.5, 0.5, 0.4)
        fitted = _fitted(scenes.coverage(thing, 256) > 0.5)
        assert fitted is not None
        result[shape] = fitted
    return result


_SHAPES = _templates()


def _look(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> Seen | None:
    fitted = _fitted(mask)
    if fitted is None or mask.mean() < _LEAST_AREA / 2:
        return None
    overlaps = {name: (fitted & other).sum() / (fitted | other).sum() for name, other in _SHAPES.items()}
    shape = max(overlaps, key=lambda name: float(overlaps[name]))
    colour = _nearest_colour(np.median(image[mask], axis=0))
    return Seen(shape if overlaps[shape] >= _LEAST_OVERLAP else "?", colour, float(overlaps[shape]))


def measure(image: NDArray[np.uint8], things: int = 1) -> Finding:
    """What an image shows.

    Args:
        image: [H, W, 3].
        things: how many to look for: 1 anywhere, or 2 side by side.
    """
    pixels = image.astype(np.float64)
    border = np.concatenate(
        [
            pixels[:4].reshape(-1, 3),
            pixels[-4:].reshape(-1, 3),
            pixels[:, :4].reshape(-1, 3),
            pixels[:, -4:].reshape(-1, 3),
        ]
    )
    background = np.median(border, axis=0)
    mask = np.linalg.norm(pixels - background, axis=2) > _FAR
    masks = [mask]
    if things == 2:
        half = image.shape[1] // 2
        left, right = mask.copy(), mask.copy()
        left[:, half:] = False
        right[:, :half] = False
        masks = [left, right]
    seen = [_look(pixels, part) for part in masks]
    return Finding(_nearest_colour(background), tuple(thing for thing in seen if thing))


def shows(image: NDArray[np.uint8], scene: scenes.Scene) -> bool:
    """Whether background, shapes and colours are those of the scene."""
    found = measure(image, len(scene.things))
    wanted = [(thing.shape, thing.colour) for thing in scene.things]
    return found.background == scene.background and [(s.shape, s.colour) for s in found.things] == wanted
