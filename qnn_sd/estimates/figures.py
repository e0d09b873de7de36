"""The shipped figures: ``figures.toml``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

from pydantic import Field

from qnn_sd.config import StrictModel, read_toml

FIGURES_FILE = Path(__file__).with_name("figures.toml")
_Share = Annotated[float, Field(ge=0, le=1)]
_Amount = Annotated[float, Field(ge=0)]


class StageFigures(StrictModel):
    """What one kind of stage takes for one model on one core of the reference.

    Attributes:
        parallel: the share of its time that is shorter with more cores.
        by_pixels: the share of its time that grows with the image.
        memory_by_pixels: the share of its memory that does.
        seconds: whatever its calls are, by component.
        per_call: seconds for each call, by component and by what is done with it.
        memory: GB that it holds at most, by component.
        disk: GB that it leaves, by component.
        scratch: GB of disk that it needs beside them while it runs, by component.
    """

    parallel: _Share = 0.0
    by_pixels: _Share = 0.0
    memory_by_pixels: _Share = 0.5
    seconds: dict[str, _Amount]
    per_call: dict[str, dict[str, _Amount]] = Field(default_factory=dict)
    memory: dict[str, _Amount]
    disk: dict[str, _Amount] = Field(default_factory=dict)
    scratch: dict[str, _Amount] = Field(default_factory=dict)


class ModelFigures(StrictModel):
    """The figures of a model.

    Attributes:
        pixels: of its image.
        parameters: of its components.
        stages: by stage, and variant after a dot.
    """

    pixels: Annotated[int, Field(ge=1)]
    parameters: dict[str, Annotated[int, Field(ge=1)]]
    stages: dict[str, StageFigures]


class Figures(StrictModel):
    """All of them.

    Attributes:
        models: by name.
    """

    models: dict[str, ModelFigures]


@functools.cache
def load_figures() -> Figures:
    """The figures of this version."""
    return read_toml(FIGURES_FILE, Figures)
