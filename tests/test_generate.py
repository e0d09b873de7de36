"""The whole loop against diffusers' pipeline: same checkpoint, same seed, same image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import CHECKPOINT
from diffusers import LatentConsistencyModelPipeline, StableDiffusionPipeline
from numpy.typing import NDArray
from test_schedulers import THEIRS

from qnn_sd.errors import TargetError
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.text_to_image import guidance_embedding, to_pixels
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.runner import Feeds, Outputs
from qnn_sd.targets import CpuRunner

PROMPT, NEGATIVE = "a green star on a yellow background", "a big blue circle"


@pytest.fixture(scope="module")
def diffusers_pipeline() -> StableDiffusionPipeline:
    made = StableDiffusionPipeline.from_pretrained(CHECKPOINT, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made


def theirs(diffusers_pipeline: StableDiffusionPipeline, request: Request) -> NDArray[np.uint8]:
    diffusers_pipeline.scheduler = THEIRS[request.scheduler].from_pretrained(CHECKPOINT, subfolder="scheduler")
    result = diffusers_pipeline(
        request.prompt,
        negative_prompt=request.negative,
        height=128,
        width=128,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator("cpu").manual_seed(request.seed),
    )
    return np.asarray(result.images[0])


class Watched(CpuRunner):
    """A CPU runner that notes what it is asked."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, optimize=True)
        self.log: list[tuple[str, Feeds]] = []

    def run(self, component: str, feeds: Feeds) -> Outputs:
        self.log.append((component, dict(feeds)))
        return super().run(component, feeds)


@pytest.mark.parametrize(
    ("scheduler", "negative", "guidance"),
    [
        *(
            (scheduler, *each)
            for scheduler in ("dpm++2m", "euler-a", "lcm")
            for each in [("", 4.0), (NEGATIVE, 7.5), ("", 1.0)]
        ),
        *((scheduler, NEGATIVE, 7.5) for scheduler in THEIRS if scheduler not in ("dpm++2m", "euler-a", "lcm")),
    ],
)
def test_a_seed_means_the_same_image_as_in_diffusers(
    scheduler: str,
    negative: str,
    guidance: float,
    pipeline: BuildPipeline,
    diffusers_pipeline: StableDiffusionPipeline,
) -> None:
    request = Request(PROMPT, negative, steps=8, guidance=guidance, scheduler=scheduler, seed=11)
    bundle = pipeline.cpu_bundle("float")
    [image] = TextToImage(CpuRunner(bundle.file, optimize=True), bundle.info, bundle.tokenizer).generate(request).images
    expected = theirs(diffusers_pipeline, request)
    # Float sums in another order: here and there a value rounds to the neighbouring pixel value.
    assert psnr_db(expected, image) >= 55
    assert np.abs(expected.astype(int) - image).max() <= 2


def test_the_negative_pass_comes_first_and_texts_are_encoded_once(pipeline: BuildPipeline) -> None:
    bundle = pipeline.cpu_bundle("float")
    runner = Watched(bundle.file)
    loop = TextToImage(runner, bundle.info, bundle.tokenizer)
    result = loop.generate(Request(PROMPT, NEGATIVE, steps=3, count=2, seed=5))
    assert [name for name, _ in runner.log] == ["text_encoder"] * 2 + (["unet"] * 6 + ["vae_decoder"]) * 2
    texts = [feeds["input_ids"] for name, feeds in runner.log if name == "text_encoder"]
    np.testing.assert_array_equal(texts[0], result.negative.ids)
    np.testing.assert_array_equal(texts[1], result.prompt.ids)
    passes = [feeds for name, feeds in runner.log if name == "unet"]
    for first, second in zip(passes[::2], passes[1::2], strict=True):
        np.testing.assert_array_equal(first["sample"], second["sample"])
        assert first["timestep"] == second["timestep"]
        assert first["sample"].shape[0] == 1
        np.testing.assert_array_equal(first["encoder_hidden_states"], passes[0]["encoder_hidden_states"])
        np.testing.assert_array_equal(second["encoder_hidden_states"], passes[1]["encoder_hidden_states"])
    assert (passes[0]["encoder_hidden_states"] != passes[1]["encoder_hidden_states"]).any()
    assert {name: usage.calls for name, usage in result.usage.items()} == {
        "text_encoder": 2,
        "unet": 12,
        "vae_decoder": 2,
    }


@pytest.mark.parametrize("guidance", [1.0, 4.5, 8.0])
def test_guidance_embedding_is_diffusers(guidance: float) -> None:
    wanted = LatentConsistencyModelPipeline.get_guidance_scale_embedding(
        None, torch.tensor([guidance - 1]), embedding_dim=256
    ).numpy()
    # Angles reach 7,000 radians, where float32 is no finer than 5e-4.
    np.testing.assert_allclose(guidance_embedding(guidance, 256), wanted, rtol=0, atol=1e-3)


def test_pixels_are_clipped_and_rounded() -> None:
    decoded = np.array([-5.0, -1.0, 0.0, 1.0, 7.0, 0.004], np.float32).reshape(1, 1, 1, 6).repeat(3, 1)
    assert to_pixels(decoded)[0, :, 0].tolist() == [0, 0, 128, 255, 255, 128]


@pytest.mark.parametrize("component", ["text_encoder", "unet", "vae_decoder"])
def test_nan_ends_in_an_error_not_in_a_black_image(
    component: str, pipeline: BuildPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = pipeline.cpu_bundle("float")
    runner = CpuRunner(bundle.file, optimize=True)
    honest = runner.run

    def run(name: str, feeds: Feeds) -> Outputs:
        outputs = honest(name, feeds)
        return {key: np.full_like(value, np.nan) for key, value in outputs.items()} if name == component else outputs

    monkeypatch.setattr(runner, "run", run)
    with pytest.raises(TargetError, match=f"{component} answers with NaN or infinity on cpu"):
        TextToImage(runner, bundle.info, bundle.tokenizer).generate(Request(PROMPT, steps=2, seed=1))
