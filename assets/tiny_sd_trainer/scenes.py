"""Scenes of flat shapes: what the demo checkpoint learns to generate.

A scene is one object anywhere, or two side by side, on a plain background. ``HELD_OUT`` names the
(shape, colour, background) combinations that no training image ever shows, so that a test can
ask whether the model composes or only remembers.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")

# sRGB, far enough apart that a median pixel names its colour.
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 75, 220),
    "yellow": (245, 215, 50),
    "purple": (135, 50, 180),
    "orange": (245, 130, 25),
    "pink": (250, 160, 200),
    "gray": (130, 130, 130),
    "black": (20, 20, 20),
    "white": (250, 250, 250),
}
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white")
BACKGROUNDS = ("white", "black", "gray", "blue", "green", "yellow", "pink")

# Radius as a share of the image's side.
SIZES = {"small": 0.17, "medium": 0.25, "big": 0.34}
# Centre as shares of the image's side, (x, y).
POSITIONS = {
    "center": (0.5, 0.5),
    "left": (0.3, 0.5),
    "right": (0.7, 0.5),
    "top": (0.5, 0.3),
    "bottom": (0.5, 0.7),
}


@dataclass(frozen=True)
class Thing:
    """One object: ``x``, ``y`` and ``radius`` are shares of the image's side."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    position: str = "center"


@dataclass(frozen=True)
class Scene:
    """A background and one thing, or two (the first is left of the second)."""

    background: str
    things: tuple[Thing, ...]


def is_held_out(shape: str, colour: str, background: str) -> bool:
    """Whether training never shows this combination (about one in ten, by hash: no list to drift)."""
    digest = hashlib.sha256(f"{shape}/{colour}/{background}".encode()).digest()
    return digest[0] < 26


COMBINATIONS = tuple(
    (shape, colour, background)
    for shape, colour, background in itertools.product(SHAPES, COLOURS, BACKGROUNDS)
    if colour != background
)
HELD_OUT = tuple(c for c in COMBINATIONS if is_held_out(*c))
TRAINED = tuple(c for c in COMBINATIONS if not is_held_out(*c))


def random_scene(rng: np.random.Generator) -> Scene:
    """A training scene: never a held-out combination, one in four with two things."""
    shape, colour, background = TRAINED[rng.integers(len(TRAINED))]
    if rng.random() < 0.25:
        while True:
            other_shape, other_colour, other_background = TRAINED[rng.integers(len(TRAINED))]
            if other_background == background and (other_shape, other_colour) != (shape, colour):
                break
        size = "small" if rng.random() < 0.5 else "medium"
        radius = 0.15 if size == "small" else 0.2
        return Scene(
            background,
            tuple(
                _jittered(rng, s, c, size, (x, 0.5), radius)
                for s, c, x in ((shape, colour, 0.26), (other_shape, other_colour, 0.74))
            ),
        )
    size = str(rng.choice(list(SIZES)))
    position = "center" if size == "big" or rng.random() < 0.5 else str(rng.choice(list(POSITIONS)))
    thing = _jittered(rng, shape, colour, size, POSITIONS[position], SIZES[size], position)
    return Scene(background, (thing,))


def _jittered(
    rng: np.random.Generator,
    shape: str,
    colour: str,
    size: str,
    centre: tuple[float, float],
    radius: float,
    position: str = "center",
) -> Thing:
    dx, dy = rng.uniform(-0.03, 0.03, 2)
    scale = rng.uniform(0.94, 1.06)
    return Thing(shape, colour, size, centre[0] + dx, centre[1] + dy, radius * scale, position)


def _distance(shape: str, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    """Roughly signed distance to the outline, in units of the radius; negative inside; v points down."""
    if shape == "circle":
        return np.hypot(u, v) - 0.95
    if shape == "square":
        return np.maximum(abs(u), abs(v)) - 0.84
    if shape == "triangle":
        v = v + 0.1
        return np.maximum(v - 0.75, (abs(u) * 1.9 - v - 0.95) / np.hypot(1.9, 1.0))
    if shape == "cross":
        arm, width = 0.95, 0.31
        upright = np.maximum(abs(u) - width, abs(v) - arm)
        level = np.maximum(abs(u) - arm, abs(v) - width)
        return np.minimum(upright, level)
    if shape == "star":
        # Five half-planes folded onto one point of the star.
        angle = np.arctan2(u, -v)
        sector = 2 * np.pi / 5
        folded = abs((angle + sector / 2) % sector - sector / 2)
        r = np.hypot(u, v)
        x, y = r * np.sin(folded), r * np.cos(folded)
        # The edge from the tip (0, 1.05) to the inner corner at half a sector.
        inner = 0.45
        ax, ay = 0.0, 1.05
        bx, by = inner * np.sin(sector / 2), inner * np.cos(sector / 2)
        ex, ey = bx - ax, by - ay
        return ((y - ay) * ex - (x - ax) * ey) / np.hypot(ex, ey)
    if shape == "heart":
        x, y = abs(u), -v * 1.05 + 0.05
        lobes = np.hypot(x - 0.45, y - 0.35) - 0.5
        # The straight flank, tangent to the lobe, down to the tip.
        flank = np.maximum((x * 0.83 - y * 0.56 - 0.50), y - 0.42)
        return np.minimum(lobes, np.maximum(flank, -1.0 - y))
    raise ValueError(f"unknown shape {shape!r}")


def coverage(thing: Thing, side: int) -> NDArray[np.float32]:
    """Share of each pixel that the thing covers, [side, side] in 0..1 (antialiased)."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    u = (axis[None, :] - thing.x) / thing.radius
    v = (axis[:, None] - thing.y) / thing.radius
    u, v = np.broadcast_arrays(u, v)
    pixel = 1 / (side * thing.radius)
    return np.clip(0.5 - _distance(thing.shape, u, v) / pixel, 0, 1).astype(np.float32)


def draw(scene: Scene, side: int) -> NDArray[np.float32]:
    """The scene as RGB, [side, side, 3] float32 in 0..1."""
    image = np.empty((side, side, 3), np.float32)
    image[:] = np.array(PALETTE[scene.background], np.float32) / 255
    for thing in scene.things:
        alpha = coverage(thing, side)[..., None]
        image = image * (1 - alpha) + alpha * np.array(PALETTE[thing.colour], np.float32) / 255
    return image


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption as people write one; size and position are sometimes left out."""
    background = scene.background
    if len(scene.things) == 2:
        left, right = (f"{t.colour} {t.shape}" for t in scene.things)
        article = rng.random() < 0.6
        a = "a " if article else ""
        pair = str(
            rng.choice(
                [
                    f"{a}{left} and {a}{right}",
                    f"{a}{left} next to {a}{right}",
                    f"{a}{left} beside {a}{right}",
                    f"{a}{left} on the left and {a}{right} on the right",
                ]
            )
        )
        return pair + _on(background, rng)
    thing = scene.things[0]
    words = [thing.colour, thing.shape]
    if rng.random() < 0.5 or (thing.size != "medium" and rng.random() < 0.4):
        words.insert(
            0, {"big": rng.choice(["big", "large"]), "small": rng.choice(["small", "little"])}.get(thing.size, "medium")
        )
    text = " ".join(map(str, words))
    if rng.random() < 0.65:
        text = ("an " if text[0] in "aeiou" else "a ") + text
    where = {
        "left": "on the left",
        "right": "on the right",
        "top": "at the top",
        "bottom": "at the bottom",
        "center": "in the middle",
    }[thing.position]
    if rng.random() < (0.8 if thing.position != "center" else 0.15):
        if rng.random() < 0.5:
            return f"{text} {where}" + _on(background, rng)
        return text + _on(background, rng) + f", {where}"
    return text + _on(background, rng)


def _on(background: str, rng: np.random.Generator) -> str:
    return str(
        rng.choice(
            [
                f" on a {background} background",
                f" on {background}",
                f", {background} background",
                f" on a {background} background",
                f" with a {background} background",
            ]
        )
    )
