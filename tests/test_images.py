"""Does the demo really generate what the prompt says, in float and on the emulator?"""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from tiny_sd_trainer import checker, judge, prompts, scenes

from qnn_sd.config import load_profile
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline


def right(images: list[np.ndarray], wanted: list[tuple[str, scenes.Scene]]) -> int:
    return sum(checker.shows(image, scene) for image, (_, scene) in zip(images, wanted, strict=True))


def texts(wanted: list[tuple[str, scenes.Scene]]) -> list[str]:
    return [text for text, _ in wanted]


@pytest.fixture(scope="module")
def in_float(pipeline: BuildPipeline) -> list[np.ndarray]:
    """The hundred prompts on the float graphs."""
    return judge.generate(pipeline.cpu_bundle("float"), texts(prompts.seen()))


def test_the_checker_knows_what_is_drawn_and_is_not_fooled(rng: np.random.Generator) -> None:
    for _ in range(200):
        scene = scenes.random_scene(rng)
        drawn = (scenes.draw(scene, 128) * 255).astype(np.uint8)
        assert checker.shows(drawn, scene)
        other = scenes.random_scene(rng)
        same = (scene.background, [(t.shape, t.colour) for t in scene.things]) == (
            other.background,
            [(t.shape, t.colour) for t in other.things],
        )
        assert checker.shows(drawn, other) == same
    noise = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert not any(checker.shows(noise, scene) for _, scene in prompts.seen())


def test_held_out_combinations_are_never_drawn() -> None:
    assert len(scenes.HELD_OUT) >= 20
    assert not set(scenes.HELD_OUT) & set(scenes.TRAINED)
    rng = np.random.default_rng(3)
    drawn = {
        (thing.shape, thing.colour, scene.background)
        for scene in (scenes.random_scene(rng) for _ in range(5000))
        for thing in scene.things
    }
    assert drawn == set(scenes.TRAINED)


def test_float_follows_at_least_95_of_100_prompts(in_float: list[np.ndarray]) -> None:
    assert right(in_float, prompts.seen()) >= 95


def test_float_follows_held_out_combinations(pipeline: BuildPipeline) -> None:
    wanted = prompts.held_out()
    images = judge.generate(pipeline.cpu_bundle("float"), texts(wanted))
    assert right(images, wanted) >= 0.85 * len(wanted)


@pytest.mark.parametrize(
    ("count", "least"),
    [
        (2, 2),
        pytest.param(20, 18, marks=pytest.mark.full_size),  # an image takes the emulator half a minute
    ],
)
def test_the_emulator_generates_what_float_generates(
    count: int, least: int, pipeline: BuildPipeline, in_float: list[np.ndarray]
) -> None:
    """The context binary for sm8650, all twenty steps with guidance, against float of the same seed."""
    wanted = prompts.seen()[:count]
    bundle = pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    images = judge.generate(bundle, texts(wanted))
    assert right(images, wanted) >= least
    psnr = [psnr_db(a, b) for a, b in zip(in_float, images, strict=False)]
    assert statistics.median(psnr) >= 25
