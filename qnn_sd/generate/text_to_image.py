"""The text-to-image loop: text encoder, UNet times steps, VAE decoder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.component_io import COMPONENT_IO
from qnn_sd.errors import TargetError
from qnn_sd.generate.guidance import ALL_STEPS, Interval, guided_steps
from qnn_sd.generate.noise import TorchNoise
from qnn_sd.generate.prompt_chunks import Tokens
from qnn_sd.generate.schedulers import make_scheduler
from qnn_sd.generate.text_states import text_states
from qnn_sd.generate.tokenizer import ClipTokenizer
from qnn_sd.runner import Feeds, Outputs, Runner, named_output
from qnn_sd.tokenizer_files import Vocabulary

Array = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        prompt: what it shows.
        negative: what it keeps away from.
        steps: sampling steps.
        guidance: scale of classifier-free guidance (Ho and Salimans 2022); 1 is none, and half the work.
        scheduler: name of the sampler.
        seed: of the first image; the next one has the next.
        count: how many images.
        stop_after: sampling steps to do before it ends without an image; None generates to the end.
        guidance_interval: the part of the sampling steps that is guided; the others have the prompt's pass alone.
        plain: whether marks in the prompts are words, and a prompt is one chunk.
    """

    prompt: str
    negative: str = ""
    steps: int = 20
    guidance: float = 7.5
    scheduler: str = "dpm++2m"
    seed: int = 0
    count: int = 1
    stop_after: int | None = None
    guidance_interval: Interval = ALL_STEPS
    plain: bool = False


@dataclass
class CallStats:
    """What a component cost.

    Attributes:
        calls: how often it ran.
        seconds: how long in all.
    """

    calls: int = 0
    seconds: float = 0.0


@dataclass
class Generation:
    """The result.

    Attributes:
        images: RGB, [height, width, 3] uint8.
        seeds: of each image.
        usage: by component.
        prompt: the prompt's tokens, with what was cut.
        negative: the negative prompt's tokens.
        text_range: least and greatest number in the text states that the UNet was fed.
    """

    images: list[Image]
    seeds: list[int]
    prompt: Tokens
    negative: Tokens
    text_range: tuple[float, float]
    usage: dict[str, CallStats] = field(default_factory=dict)


def tokenizer_of(bundle: Bundle, vocabulary: Vocabulary) -> ClipTokenizer:
    """A bundle's tokenizer.

    Args:
        bundle: what the bundle says of itself.
        vocabulary: its tokens and merges.

    Raises:
        CheckpointError: they are no CLIP tokenizer's.
    """
    return ClipTokenizer(vocabulary, bundle.tokens, bundle.padding_token, bundle.added_tokens)


def tokens_of(tokenizer: ClipTokenizer, request: Request, most: int | None = None) -> tuple[Tokens, Tokens]:
    """The tokens of a request's prompt and negative prompt.

    Args:
        tokenizer: of the bundle.
        request: what is generated.
        most: chunks from which on a prompt is cut; None for prompts however long they are.
    """
    prompt, negative = (
        tokenizer.encode(text, plain=request.plain, most=len(text) + 1 if most is None else most)
        for text in (request.prompt, request.negative)
    )
    return prompt, negative


class TextToImage:
    """Generates images with a bundle's components.

    Args:
        runner: where the components run.
        bundle: what the bundle says of itself.
        tokenizer: the bundle's.

    Raises:
        CheckpointError: the tokenizer is no CLIP's.
    """

    def __init__(self, runner: Runner, bundle: Bundle, tokenizer: Vocabulary) -> None:
        self._runner, self._bundle = runner, bundle
        self._tokenizer = tokenizer_of(bundle, tokenizer)
        self._usage: dict[str, CallStats] = {}

    def generate(
        self,
        request: Request,
        on_step: Callable[[float], None] = lambda _seconds: None,
        on_image: Callable[[Image, int], None] = lambda _image, _seed: None,
    ) -> Generation:
        """Runs the loop.

        Args:
            request: what to generate.
            on_step: called after each sampling step with its seconds.
            on_image: called with each image and its seed as soon as it is there.

        Raises:
            TargetError: a component can't be loaded, fails, or lacks the output that is read.
            SettingError: a number of steps that the scheduler can't do, or weights that leave no finite numbers.
            UnknownSchedulerError: no such scheduler.
        """
        self._usage = {}
        # What the UNet takes no more chunks for is cut.
        prompt, negative = tokens_of(self._tokenizer, request, self._bundle.prompt_chunks)
        make_scheduler(request.scheduler, self._bundle.scheduler, request.steps)  # before anything is loaded
        self._runner.load("text_encoder")
        guided = self._bundle.passes(request.guidance) == 2
        # The negative pass comes first, as in a batch of diffusers.
        contexts = self._contexts([negative, prompt] if guided else [prompt])
        self._runner.unload("text_encoder")
        self._runner.load("unet")
        self._runner.load("vae_decoder")
        text_range = min(float(each.min()) for each in contexts), max(float(each.max()) for each in contexts)
        result = Generation([], [], prompt, negative, text_range, self._usage)
        for number in range(request.count):
            seed = request.seed + number
            latent = self._sample(request, contexts, seed, on_step)
            if request.stop_after is not None:
                continue
            decoded = self._call("vae_decoder", {"latent": latent / np.float32(self._bundle.scaling_factor)})
            image = to_pixels(decoded)
            on_image(image, seed)
            result.images.append(image)
            result.seeds.append(seed)
        self._runner.unload("unet")
        self._runner.unload("vae_decoder")
        return result

    def _contexts(self, prompts: list[Tokens]) -> list[Array]:
        built = self._bundle.prompt_chunks
        known: dict[bytes, Array] = {}

        def encode(ids: NDArray[np.int32]) -> Array:
            key = ids.tobytes()
            if key not in known:
                known[key] = self._call("text_encoder", {"input_ids": ids})
            return known[key]

        empty = self._tokenizer.empty_chunk()
        return [text_states(each.chunks, empty, built, encode) for each in prompts]

    def _sample(self, request: Request, contexts: list[Array], seed: int, on_step: Callable[[float], None]) -> Array:
        bundle = self._bundle
        noise = TorchNoise(seed)
        scheduler = make_scheduler(request.scheduler, bundle.scheduler, request.steps)
        shape = (1, bundle.latent_channels, bundle.height // bundle.factor, bundle.width // bundle.factor)
        latent = (noise.normal(shape) * np.float32(scheduler.initial_scale)).astype(np.float32)
        passes: list[Feeds] = [{"encoder_hidden_states": context} for context in contexts]
        extra: dict[str, Array] = {}
        if bundle.time_cond_proj_dim is not None:
            extra["timestep_cond"] = guidance_embedding(request.guidance, bundle.time_cond_proj_dim)
        guided = guided_steps(request.guidance_interval, request.steps)
        for step, calls in enumerate(scheduler.calls[: request.stop_after]):
            started = time.perf_counter()
            # Without guidance the prompt's own pass is left.
            used = passes if step in guided else passes[-1:]
            for index in calls:
                feeds = {
                    "sample": scheduler.scale_input(latent, index),
                    "timestep": np.array([scheduler.timesteps[index]], np.float32),
                    **extra,
                }
                with self._counted("unet", len(used)):
                    outputs = self._runner.run_guided("unet", feeds, used, request.guidance)
                latent = scheduler.step(self._answer("unet", outputs), index, latent, noise)
            on_step(time.perf_counter() - started)
        return latent

    def _call(self, component: str, feeds: Feeds) -> Array:
        with self._counted(component, 1):
            outputs = self._runner.run(component, feeds)
        return self._answer(component, outputs)

    def _answer(self, component: str, outputs: Outputs) -> Array:
        """The output that the loop reads. NaN would end in a black image that nothing complains of."""
        answer = named_output(component, outputs, COMPONENT_IO[component].output)
        if not np.isfinite(answer).all():
            raise TargetError(
                f"{component} answers with NaN or infinity on {self._runner.target}",
                why="An image of it would be black or noise.",
                hint="Check the build with qnn-sd verify, and the checkpoint with --target cpu.",
            )
        return answer

    @contextmanager
    def _counted(self, component: str, calls: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        usage = self._usage.setdefault(component, CallStats())
        usage.calls += calls
        usage.seconds += time.perf_counter() - started


def to_pixels(decoded: Array) -> Image:
    """[1, 3, H, W] in -1..1 as RGB pixels [H, W, 3] uint8, rounded as diffusers does."""
    scaled = np.clip(decoded[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1) * 255
    return np.asarray(scaled.round(), np.uint8)


def guidance_embedding(guidance: float, width: int) -> Array:
    """Sinusoidal embedding of the guidance scale, [1, width], that LCM's UNet is conditioned on."""
    half = width // 2
    frequencies = np.exp(-math.log(10_000) / (half - 1) * np.arange(half))
    angles = (guidance - 1) * 1000 * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)])[None].astype(np.float32)
