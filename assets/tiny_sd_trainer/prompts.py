"""Fixed prompts for judging the demo checkpoint, with the scenes that they ask for."""

from __future__ import annotations

import numpy as np

from tiny_sd_trainer import scenes

# As people write them; {a} is the article, {s} size, {c} colour, {h} shape, {b} background.
_PHRASES = (
    "{a} {c} {h} on a {b} background",
    "{c} {h}, {b} background",
    "A {s} {c} {h} on {b}",
    "{a} {c} {h} on {b}",
    "a {s} {c} {h} with a {b} background",
)


def _single(shape: str, colour: str, background: str, rng: np.random.Generator) -> tuple[str, scenes.Scene]:
    size = str(rng.choice(["big", "small", "medium"]))
    article = "an" if colour[0] in "aeiou" else "a"
    text = str(rng.choice(_PHRASES)).format(a=article, s=size, c=colour, h=shape, b=background)
    thing = scenes.Thing(shape, colour, size, 0.5, 0.5, scenes.SIZES[size])
    return text, scenes.Scene(background, (thing,))


def _pair(rng: np.random.Generator) -> tuple[str, scenes.Scene]:
    while True:
        scene = scenes.random_scene(rng)
        if len(scene.things) == 2:
            left, right = (f"{thing.colour} {thing.shape}" for thing in scene.things)
            return f"a {left} and a {right} on a {scene.background} background", scene


def seen(count: int = 100, pairs: int = 10, seed: int = 7) -> list[tuple[str, scenes.Scene]]:
    """Prompts of trained combinations, the last ``pairs`` of them with two things."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(scenes.TRAINED), count - pairs, replace=False)
    return [_single(*scenes.TRAINED[index], rng) for index in chosen] + [_pair(rng) for _ in range(pairs)]


def held_out(seed: int = 8) -> list[tuple[str, scenes.Scene]]:
    """One prompt for each combination that training never showed."""
    rng = np.random.default_rng(seed)
    return [_single(*combination, rng) for combination in scenes.HELD_OUT]
