"""What the float components are fed while a trajectory is generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from qnn_sd.quantize.calibration.plan import Trajectory
from qnn_sd.quantize.ranges.measured import measure
from qnn_sd.recording_runner import RecordingRunner
from qnn_sd.runner import Feeds, Runner, only_output

# Runs the generation loop for a trajectory on a runner; calls back after each sampling step.
Generate = Callable[[Runner, Trajectory, Callable[[], None]], None]


class CalibrationRecorder:
    """Generates trajectories and keeps the samples that their plan asks for.

    Args:
        runner: where the float graphs run; nothing is unloaded between trajectories.
        floats: folders of the float graphs, by component.
        passes: of the UNet in a sampling step, by guidance scale.
        generate: the loop.
    """

    def __init__(
        self, runner: Runner, floats: Mapping[str, Path], passes: Callable[[float], int], generate: Generate
    ) -> None:
        self._runner, self._floats, self._passes, self._generate = runner, floats, passes, generate

    def record(self, trajectory: Trajectory, on_step: Callable[[], None]) -> dict[str, list[Feeds]]:
        """Samples of the UNet and, if it is generated to the end, of the VAE's halves; by component.

        Args:
            trajectory: what to generate.
            on_step: called after each sampling step.

        Raises:
            QuantizeError: a component answers with NaN or infinity; the layer is named.
            TargetError: a component can't be loaded or fails.
        """

        passes = self._passes(trajectory.guidance)

        def keeps(component: str, call: int) -> bool:
            return component == "vae_decoder" or (component == "unet" and call // passes in trajectory.kept)

        recorder = RecordingRunner(self._runner, keeps, self._name_the_layer)
        self._generate(recorder, trajectory, on_step)
        found = {component: [sample.feeds for sample in kept] for component, kept in recorder.samples.items()}
        if trajectory.image:
            decoded = [only_output("vae_decoder", each.outputs) for each in recorder.samples["vae_decoder"]]
            images = [np.clip(image, -1, 1) for image in decoded]
            found["vae_encoder"] = [{"picture": image} for image in images]
        return found

    def _name_the_layer(self, component: str, feeds: Feeds) -> None:
        # Now, not when ranges are measured: with a large model that is an hour later.
        measure(self._floats[component], [feeds], lambda: None)
