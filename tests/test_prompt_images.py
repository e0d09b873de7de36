"""Images of weighted and long prompts on the demo, against diffusers with the text states of the tests' own judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import webui_prompts
from conftest import CHECKPOINT
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from graphs import attending, htp_db
from numpy.typing import NDArray

from qnn_sd.generate import Request, TextToImage
from qnn_sd.metrics import psnr_db
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.targets import CpuRunner

LONG = "a red circle, " + "a big blue square on a (white:1.2) background, " * 9 + "[[green star]]"
MORE = "a (yellow:1.4) star on black BREAK " + LONG


@pytest.fixture(scope="module")
def judge() -> StableDiffusionPipeline:
    made = StableDiffusionPipeline.from_pretrained(CHECKPOINT, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    made.scheduler = DPMSolverMultistepScheduler.from_pretrained(CHECKPOINT, subfolder="scheduler")
    return made


def theirs(judge: StableDiffusionPipeline, request: Request, chunks: int) -> NDArray[np.float32]:
    """As the web UI with its default settings: each prompt by itself, whatever the other's length.

    The pipeline wants both of one length. A prompt whose states come several times is attended to as if once.
    """
    prompt, negative = (
        states.repeat(1, 77 * chunks // states.shape[1], 1)
        for text in (request.prompt, request.negative)
        for states in [webui_prompts.states_of(text, judge.tokenizer, judge.text_encoder)]
    )
    result = judge(
        prompt_embeds=prompt,
        negative_prompt_embeds=negative,
        height=128,
        width=128,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator("cpu").manual_seed(request.seed),
    )
    return np.asarray(result.images[0])


def ours(pipeline: BuildPipeline, request: Request) -> NDArray[np.uint8]:
    bundle = pipeline.cpu_bundle("float")
    [image] = TextToImage(CpuRunner(bundle.file, optimize=True), bundle.info, bundle.tokenizer).generate(request).images
    return image


@pytest.mark.parametrize(
    ("prompt", "negative", "chunks", "built"),
    [
        ("a (red:1.3) circle on a blue background", "", 1, 1),
        ("((a red circle)) on a [blue:background]", "a (dark:0.6) star", 1, 1),
        (LONG, "", 2, 2),
        (LONG, "a (dark:0.6) star", 2, 2),
        ("a dark star", LONG, 2, 2),
        # Its chunk comes twice, which attention can't tell from once.
        ("a (red:1.3) circle on a blue background", "a dark star", 1, 2),
        (MORE, "", 3, 3),
    ],
)
def test_an_image_is_diffusers_with_the_same_states(
    prompt: str, negative: str, chunks: int, built: int, pipeline: BuildPipeline, judge: StableDiffusionPipeline
) -> None:
    request = Request(prompt, negative, steps=4, guidance=4.0, scheduler="dpm++2m", seed=11)
    image = ours(pipeline.at_chunks(built), request)
    # Sums in another order: here and there a value rounds to the neighbouring pixel value.
    assert psnr_db(theirs(judge, request, chunks), image) >= 60


def test_the_demo_hears_the_second_chunk(pipeline: BuildPipeline) -> None:
    build = pipeline.at_chunks(2)
    one, other = (
        ours(build, Request(f"a red circle BREAK {words}", "", steps=4, guidance=4.0, scheduler="dpm++2m", seed=11))
        for words in ("", "on a yellow background")
    )
    assert psnr_db(one, other) < 40


def test_attention_over_two_chunks_compiles_for_the_htp(tmp_path: object) -> None:
    build, feeds = attending(8, 1.0, keys=154)
    assert htp_db(build, feeds, tmp_path) >= 60  # type: ignore[arg-type]
