"""Records a plan's trajectories, each as a unit that a killed recording needn't do again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qnn_sd.console import Console
from qnn_sd.quantize.calibration.plan import Trajectory
from qnn_sd.quantize.calibration.store import write_unit
from qnn_sd.runner import Feeds

# Samples by component.
Recorded = Mapping[str, Sequence[Feeds]]
# Generates a trajectory; calls back after each sampling step.
RecordTrajectory = Callable[[Trajectory, Callable[[], None]], Recorded]

_TEXTS = "texts"


def unit_name(number: int) -> str:
    """The unit of a plan's trajectory, counted from 0."""
    return f"{number:04d}"


def record(
    folder: Path,
    texts: Mapping[str, Sequence[Feeds]],
    trajectories: Sequence[Trajectory],
    steps: int,
    generate: RecordTrajectory,
    title: str,
    console: Console,
) -> None:
    """Records what isn't there yet.

    Args:
        folder: where units go; empty, or with those of an earlier recording of the same plan.
        texts: samples of the components that are fed texts, by component.
        trajectories: the plan.
        steps: sampling steps from noise to image.
        generate: generates one.
        title: of the progress bar.
        console: where progress is shown.

    Raises:
        OSError: a unit can't be written; those before it stay.
    """
    if not (folder / _TEXTS).exists():
        write_unit(folder, _TEXTS, texts)
    units = {unit_name(number): trajectory for number, trajectory in enumerate(trajectories)}
    ahead = {unit: trajectory for unit, trajectory in units.items() if not (folder / unit).exists()}
    if len(ahead) < len(units):
        console.say(f"{len(units) - len(ahead)} of {len(units)} prompts were recorded before")
    # Counted in steps: a prompt that ends early takes a fraction of another's time.
    total, left = (sum(each.length(steps) for each in some.values()) for some in (units, ahead))
    with console.progress(f"{title}: steps of {len(ahead)} prompts", total, done=total - left) as bar:
        for unit, trajectory in ahead.items():
            write_unit(folder, unit, generate(trajectory, bar.advance))
