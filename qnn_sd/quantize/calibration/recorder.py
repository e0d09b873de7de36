"""What the float components are fed while a trajectory is generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from qnn_sd.quantize.calibration.plan import Trajectory
from qnn_sd.quantize.ranges.measured import measure
from qnn_sd.recording_runner import RecordingRunner, Sample
from qnn_sd.runner import Feeds, Runner

# Runs the generation loop for a trajectory on a runner; calls back after each sampling step.
Generate = Callable[[Runner, Trajectory, Callable[[], None]], None]
# What a component is recorded on: each text of the plan; the sampling steps that a trajectory keeps, each guidance
# pass; the images that are generated to the end.
RecordedOn = Literal["texts", "steps", "images"]
# Feeds made from what other components were fed and answered along one trajectory, by their names.
DeriveFeeds = Callable[[Mapping[str, Sequence[Sample]]], list[Feeds]]


class CalibrationRecorder:
    """Generates trajectories and keeps the samples that their plan asks for.

    Args:
        runner: where the float graphs run; nothing is unloaded between trajectories.
        floats: folders of the float graphs that the loop calls, by component.
        recorded_on: what each of them is recorded on.
        derived: of components that the loop doesn't call, what makes their feeds.
        passes: of the UNet in a sampling step, by guidance scale.
        generate: the loop.
    """

    def __init__(
        self,
        runner: Runner,
        floats: Mapping[str, Path],
        recorded_on: Mapping[str, RecordedOn],
        derived: Mapping[str, DeriveFeeds],
        passes: Callable[[float], int],
        generate: Generate,
    ) -> None:
        self._runner, self._floats, self._recorded_on, self._derived = runner, floats, recorded_on, derived
        self._passes, self._generate = passes, generate

    def record(self, trajectory: Trajectory, on_step: Callable[[], None]) -> dict[str, list[Feeds]]:
        """A trajectory's samples by component: of its kept steps and, if it is generated to the end, of its image.

        Args:
            trajectory: what to generate.
            on_step: called after each sampling step.

        Raises:
            QuantizeError: a component answers with NaN or infinity; the layer is named.
            TargetError: a component can't be loaded or fails.
        """

        passes = self._passes(trajectory.guidance)

        def keeps(component: str, call: int) -> bool:
            where = self._recorded_on[component]
            return where == "images" or (where == "steps" and call // passes in trajectory.kept)

        recorder = RecordingRunner(self._runner, keeps, self._name_the_layer)
        self._generate(recorder, trajectory, on_step)
        found = {component: [sample.feeds for sample in kept] for component, kept in recorder.samples.items()}
        derived = {component: derive(recorder.samples) for component, derive in self._derived.items()}
        return found | {component: feeds for component, feeds in derived.items() if feeds}

    def _name_the_layer(self, component: str, feeds: Feeds) -> None:
        # Now, not when ranges are measured: with a large model that is an hour later.
        measure(self._floats[component], [feeds], lambda: None)
