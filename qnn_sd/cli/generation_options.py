"""The options that say what image is generated."""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from typing import Any

from qnn_sd.cli.guidance_interval import IntervalType
from qnn_sd.cli.help import GENERATION, option
from qnn_sd.cli.options import Command
from qnn_sd.config import ModelConfig
from qnn_sd.errors import SettingError
from qnn_sd.generate import Request
from qnn_sd.generate.guidance import ALL_STEPS, Interval
from qnn_sd.generate.noise import LARGEST_SEED
from qnn_sd.generate.schedulers import SCHEDULERS

# As web UIs have it.
_RANDOM = -1


@dataclass(frozen=True)
class GenerationOptions:
    """What was typed; None for the model's default, or a random seed.

    Attributes:
        negative: negative prompt.
        steps: sampling steps.
        seed: of the first image.
        guidance: scale; 1 is none.
        scheduler: by name.
        count: images.
        guidance_interval: the part of the sampling steps that is guided.
        plain_prompt: whether marks in the prompts are words.
    """

    negative: str
    steps: int | None
    seed: int | None
    guidance: float | None
    scheduler: str | None
    count: int
    guidance_interval: Interval = ALL_STEPS
    plain_prompt: bool = False

    def check(self) -> None:
        """Before any work.

        Raises:
            SettingError: a value that can't be used.
        """
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise SettingError(f"--steps {self.steps} is not possible", hint="Choose 1 to 1000; 20 is usual.")
        if self.guidance is not None and not 1 <= self.guidance <= 50:
            raise SettingError(
                f"--guidance {self.guidance:g} is not possible", hint="Choose 1 (none) to 50; 7.5 is usual."
            )
        if not 1 <= self.count <= 1000:
            raise SettingError(f"--count {self.count} is not possible", hint="Choose 1 to 1000.")
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED - self.count:
            raise SettingError(
                f"--seed {self.seed} is not possible", hint="Choose a number from 0 to 2^64 - 1; -1 is a random one."
            )

    def request(self, prompt: str, model: ModelConfig) -> Request:
        """What to generate, with a model's defaults for what wasn't typed."""
        return Request(
            prompt,
            self.negative,
            model.steps if self.steps is None else self.steps,
            model.guidance if self.guidance is None else self.guidance,
            self.scheduler or model.scheduler,
            secrets.randbelow(2**32) if self.seed is None else self.seed,
            self.count,
            guidance_interval=self.guidance_interval,
            plain=self.plain_prompt,
        )


_OPTIONS = (
    option(
        "--negative",
        group=GENERATION,
        metavar="TEXT",
        default="",
        default_text="none",
        help="Negative prompt; also --negative-prompt.",
    ),
    option(
        "--steps",
        group=GENERATION,
        type=int,
        metavar="N",
        default_text="the model's",
        help="Sampling steps.",
    ),
    option(
        "--seed",
        group=GENERATION,
        type=int,
        metavar="N",
        callback=lambda _context, _option, seed: None if seed == _RANDOM else seed,
        default_text="random",
        help="Seed of the noise, -1 for a random one; the same noise as torch.Generator('cpu').manual_seed(N).",
    ),
    option(
        "--guidance",
        group=GENERATION,
        type=float,
        metavar="SCALE",
        default_text="the model's",
        help="Guidance scale, also --cfg; 1 is none and takes half the time.",
    ),
    option(
        "--guidance-interval",
        group=GENERATION,
        type=IntervalType(),
        metavar="START:END",
        default="0:1",
        default_text="all steps",
        help="Guide this part of the sampling steps only, such as 0.2:0.9; each other step takes half the time.",
    ),
    option(
        "--scheduler",
        group=GENERATION,
        metavar="NAME",
        default_text="the model's",
        help=f"{', '.join(SCHEDULERS)}; most also with -karras, -exponential, -sgm-uniform. Also --sampler.",
    ),
    option(
        "-n",
        "--count",
        group=GENERATION,
        type=int,
        metavar="N",
        default=1,
        help="Images, each with the next seed.",
    ),
    option(
        "--plain-prompt/--no-plain-prompt",
        group=GENERATION,
        default=False,
        help="Read (word:1.3), [word], BREAK and <lora:...> as plain text, and cut a long prompt.",
    ),
)


def generation_options(command: Command) -> Command:
    """What image is generated, handed on as ``generation``."""

    @functools.wraps(command)
    def with_generation(
        negative: str,
        steps: int | None,
        seed: int | None,
        guidance: float | None,
        guidance_interval: Interval,
        scheduler: str | None,
        count: int,
        plain_prompt: bool,
        **rest: Any,
    ) -> Any:
        typed = GenerationOptions(negative, steps, seed, guidance, scheduler, count, guidance_interval, plain_prompt)
        return command(generation=typed, **rest)

    wrapped: Command = with_generation
    for each in reversed(_OPTIONS):
        wrapped = each(wrapped)
    return wrapped
