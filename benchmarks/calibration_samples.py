"""How many samples calibration needs: the demo model quantized from more and more, judged on the same held-out data.

    python benchmarks/calibration_samples.py

A row is a calibration: how many prompts are generated, in how many steps, and how many of them each keeps;
what it costs in calls of the float UNet; and the SQNR in dB of the UNet's and the VAE decoder's QDQ graphs
against float over all held-out samples and of the worst one, by AdaRound. Held-out data is the model config's
own in every row. Seeds are the config's. Takes some ten minutes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from held_out import outputs, sqnr_of_all_and_worst

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.calibration import PromptSet, plan_trajectories

# Prompts, sampling steps, steps kept of each.
CALIBRATIONS = (
    (2, 10, 4),
    (5, 10, 4),
    (10, 10, 4),
    (2, 20, 4),
    (5, 20, 4),
    (8, 20, 4),
    (15, 20, 4),
    (30, 20, 4),
    (60, 20, 4),
)
IMAGES = 0.4  # of the prompts, generated to the end
JUDGED = ("unet", "vae_decoder")


def main() -> None:
    model = load_model("tiny-sd")
    known = BuildPipeline(model, Console())
    held_out = known.held_out()
    judging = {name: list(known.samples(held_out, name)) for name in JUDGED}
    expected = {name: outputs(known.export(name).folder, samples) for name, samples in judging.items()}
    print(f"{'prompts':>8}{'steps':>7}{'kept':>6}{'samples':>9}{'calls':>7}", end="")
    print("".join(f"{name:>18}{'worst':>8}" for name in JUDGED))
    for prompts, steps, kept in CALIBRATIONS:
        images = max(1, round(IMAGES * prompts))
        config = model.calibration.model_copy(
            update={"trajectories": prompts, "steps": steps, "kept_steps": kept, "images": images}
        )
        plan = plan_trajectories(PromptSet(["a"], ["b"]), model.calibrated, prompts, steps, kept, images, 0)
        passes = [2 if each.guidance > 1 else 1 for each in plan]
        calls = sum(times * each.length(steps) for times, each in zip(passes, plan, strict=True))
        print(f"{prompts:8}{steps:7}{kept:6}{sum(passes) * kept:9}{calls:7}", end="")
        with tempfile.TemporaryDirectory() as cache:
            pipeline = OtherCalibration(model.model_copy(update={"calibration": config}), Console(), cache=Path(cache))
            pipeline.judged_by = known
            for name in JUDGED:
                every, worst = sqnr_of_all_and_worst(
                    expected[name], outputs(pipeline.quantize(name).folder, judging[name])
                )
                print(f"{every:18.1f}{worst:8.1f}", end="", flush=True)
        print()


class OtherCalibration(BuildPipeline):
    """A pipeline that is calibrated otherwise, and judged by another one's held-out data."""

    judged_by: BuildPipeline

    def held_out(self):
        """The other's."""
        return self.judged_by.held_out()


if __name__ == "__main__":
    main()
