"""How faithful the demo's UNet is at each setting that a command line allows.

    python benchmarks/settings.py [--soc sm8650] [--prompts 2] [--json FILE]

Guidance scales with and without a negative prompt; first, middle and last of 20 steps; both passes. Each recorded
along trajectories of the float model from prompts and noise that nothing was fitted to. SQNR in dB of the context
binary on the emulator against the QDQ graph, and of the QDQ graph against float: the worst call, and the worst
difference of the two guidance passes. Last, what the float model itself gives: images that show what their prompt
says, by the demo's checker.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))

from tiny_sd_trainer import checker, prompts

from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.generate import Request, TextToImage
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.recording_runner import RecordingRunner, Sample
from qnn_sd.reference import reference_session
from qnn_sd.runner import only_output
from qnn_sd.targets import CpuRunner, EmulatorRunner

GUIDANCE = (1.0, 4.0, 7.5, 15.0)
NEGATIVE = ("", "a red circle, a gray background")
STEPS = 20
LOOKED_AT = {"first": 0, "middle": STEPS // 2, "last": STEPS - 1}
SEED = 950_000


def record(
    pipeline: BuildPipeline, guidance: float, negative: str, some: Sequence[tuple[str, object]]
) -> tuple[list[list[Sample]], int]:
    """The UNet's calls of each prompt, in order, and how many of the images are right."""
    bundle = pipeline.cpu_bundle("float")
    calls, right = [], 0
    for number, (text, scene) in enumerate(some):
        recorder = RecordingRunner(CpuRunner(bundle.file, optimize=True))
        request = Request(text, negative, STEPS, guidance, pipeline.model.scheduler, SEED + number)
        [image] = TextToImage(recorder, bundle.info, bundle.tokenizer).generate(request).images
        calls.append(recorder.samples["unet"])
        right += checker.shows(image, scene)
    return calls, right


def figures(expected: Sequence[np.ndarray], found: Sequence[np.ndarray], passes: int) -> tuple[float, float | None]:
    """Worst call, and worst difference of two neighbouring calls; dB."""
    worst = min(sqnr_db(a, b) for a, b in zip(expected, found, strict=True))
    if passes == 1:
        return worst, None
    pairs = range(0, len(expected), 2)
    return worst, min(sqnr_db(expected[i + 1] - expected[i], found[i + 1] - found[i]) for i in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--prompts", type=int, default=2, help="prompts that the calls are taken from")
    parser.add_argument("--images", type=int, default=20, help="prompts whose float images are looked at")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pipeline, profile = BuildPipeline(load_model("tiny-sd"), Console()), load_profile(options.soc)
    pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    qdq = reference_session(pipeline.quantize("unet").file(MODEL_FILE))
    binary = pipeline.compile("unet", profile)
    htp = EmulatorRunner(lambda _name: binary.file("model_ctx.onnx"), profile.soc_model, profile.htp_arch)
    htp.load("unet")
    some = prompts.seen()[-options.images :]
    rows = []
    print(
        f"{'guidance':>8} {'negative':>8} {'step':>7}  HTP/QDQ: call, difference   "
        "QDQ/float: call, difference   float right"
    )
    for guidance in GUIDANCE:
        for negative in NEGATIVE if guidance > 1 else NEGATIVE[:1]:
            calls, right = record(pipeline, guidance, negative, some)
            passes = len(calls[0]) // STEPS
            for name, step in LOOKED_AT.items():
                chosen = [each for one in calls[: options.prompts] for each in one[step * passes : (step + 1) * passes]]
                floats = [only_output("unet", each.outputs) for each in chosen]
                graph = [qdq.run(None, dict(each.feeds))[0] for each in chosen]
                ran = [only_output("unet", htp.run("unet", each.feeds)) for each in chosen]
                of_htp, of_qdq = figures(graph, ran, passes), figures(floats, graph, passes)
                shown = [f"{db:5.1f}" if db is not None else "    -" for db in (*of_htp, *of_qdq)]
                print(
                    f"{guidance:8g} {'yes' if negative else 'no':>8} {name:>7}  {shown[0]:>13}, {shown[1]:>10}   "
                    f"{shown[2]:>15}, {shown[3]:>10}   {right:>7}/{len(some)}",
                    flush=True,
                )
                rows.append([guidance, bool(negative), name, *of_htp, *of_qdq, right])
    if options.json:
        options.json.write_text(json.dumps(rows), "utf-8")


if __name__ == "__main__":
    main()
