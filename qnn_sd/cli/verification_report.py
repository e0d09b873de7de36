"""The report of ``qnn-sd verify``: figures, pictures side by side, minutes, memory, versions; nothing private."""

from __future__ import annotations

import json
import os
import platform
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd import __version__, artifact, qnn
from qnn_sd.build import Road
from qnn_sd.config import COMPONENTS, DeviceProfile
from qnn_sd.console import Bar, Console
from qnn_sd.errors import VerificationError
from qnn_sd.generate import Request, TextToImage
from qnn_sd.generate.png import save_png
from qnn_sd.markdown import cell, table
from qnn_sd.metrics import psnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.runner import Runner
from qnn_sd.targets import CpuRunner, EmulatorRunner
from qnn_sd.targets.adb.examination import Privacy
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    FIGURES,
    QDQ_AGAINST_FLOAT,
    ComponentVerification,
    Likeness,
    SettingLikeness,
)

_GAP = 8
# Of the report's form; raised when a key changes its meaning.
_FORMAT = 1


@dataclass(frozen=True)
class Comparison:
    """One prompt painted by every form of the model that this machine runs in reasonable time.

    Attributes:
        request: what was asked for.
        pictures: by the form's name, float first.
        seconds: what each took.
        left_out: why the emulator painted none; "" if it did.
    """

    request: Request
    pictures: Mapping[str, NDArray[np.uint8]]
    seconds: Mapping[str, float]
    left_out: str

    @property
    def facts(self) -> dict[str, Any]:
        """PSNR against float and seconds, by form."""
        (floats, reference), *_ = self.pictures.items()
        return {
            name: {
                "psnr_db_against_float": None if name == floats else round(psnr_db(reference, each), 2),
                "seconds": round(self.seconds[name], 1),
            }
            for name, each in self.pictures.items()
        } | ({"left_out": self.left_out} if self.left_out else {})

    @property
    def sheet(self) -> NDArray[np.uint8]:
        """All pictures in a row, float first, RGB [H, W, 3]."""
        height, width, _ = next(iter(self.pictures.values())).shape
        sheet = np.full((height, len(self.pictures) * (width + _GAP) - _GAP, 3), 255, np.uint8)
        for number, each in enumerate(self.pictures.values()):
            left = number * (width + _GAP)
            sheet[:, left : left + width] = each
        return sheet


def compare_pictures(road: Road, profile: DeviceProfile, prompt: str, console: Console) -> Comparison:
    """Generates one picture by the float graphs, the QDQ graphs and, where that takes no hours, the emulator."""
    model = road.model
    request = Request(prompt, "", model.steps, model.guidance, model.scheduler, model.verification.seed)
    bundle = road.bundle_for(profile)
    runners: dict[str, Runner] = {
        "float on the CPU": CpuRunner(lambda name: road.export(name).file(MODEL_FILE), optimize=True),
        "QDQ on the CPU": CpuRunner(bundle.fallback),
    }
    left_out = ""
    if model.verification.emulator_minutes:
        left_out = "The emulator takes minutes for each call of this model: it painted no picture."
    else:
        runners[f"{profile.soc} on the emulator"] = EmulatorRunner(bundle.file, profile.soc_model, profile.htp_arch)
    pictures, seconds = {}, {}
    for name, runner in runners.items():
        with console.progress(f"generating with {name}", request.steps) as bar:
            loop = TextToImage(runner, bundle.info, bundle.tokenizer)
            made = loop.generate(request, partial(_advance, bar))
        pictures[name] = made.pictures[0]
        seconds[name] = sum(usage.seconds for usage in made.usage.values())
    return Comparison(request, pictures, seconds, left_out)


def _advance(bar: Bar, seconds: float) -> None:
    bar.advance(f"{seconds:.2f} s a step")


def write_verification_report(
    output: Path,
    road: Road,
    profile: DeviceProfile,
    verified: Mapping[str, ComponentVerification],
    comparison: Comparison | None,
    refused: VerificationError | None,
    privacy: Privacy,
    own_checkpoint: bool,
) -> list[Path]:
    """Writes the page, and the pictures beside it; returns what was written.

    Raises:
        OutputError: one can't be written; an earlier one stays as it was.
    """
    written = []
    path = output.with_suffix(".png")
    if comparison is None:
        path.unlink(missing_ok=True)  # of an earlier report: it would be taken for this one's
    else:
        save_png(path, comparison.sheet, {"forms": ", ".join(comparison.pictures), "software": f"qnn-sd {__version__}"})
        written.append(path)
    told = privacy.clean(_document(road, profile, verified, comparison, refused, own_checkpoint))
    with artifact.written_aside(output) as aside:
        aside.write_text(_markdown(told, written[0].name if written else None), "utf-8")
    return [output, *written]


def _document(
    road: Road,
    profile: DeviceProfile,
    verified: Mapping[str, ComponentVerification],
    comparison: Comparison | None,
    refused: VerificationError | None,
    own_checkpoint: bool,
) -> dict[str, Any]:
    model = road.model
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "format": _FORMAT,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "model": {
            "config": model.name,
            "width": model.width,
            "height": model.height,
            "guidance": model.guidance,
            "own_checkpoint": own_checkpoint,
            "rounding": road.rounding,
            "given_encodings": sorted(road.encodings),
        },
        "verdict": "refused" if refused else "passed with doubts" if road.doubts else "passed",
        "doubts": road.doubts,
        "soc": profile.soc,
        "refused": None if refused is None else refused.document,
        "components": {name: verified[name].model_dump(mode="json") for name in COMPONENTS if name in verified},
        "pictures": None if comparison is None else comparison.facts,
        "request": None if comparison is None else asdict(comparison.request),
        "stages": [
            {"stage": each.stage, "component": each.component, "seconds": round(each.seconds, 1), "cached": each.cached}
            for each in road.reports
        ],
        "peak_memory_bytes": peak * 1024,
        "machine": {
            "system": platform.system(),
            "machine": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
        "versions": {
            "python": platform.python_version(),
            "qnn-sd": __version__,
            **qnn.versions(),
            "onnx": onnx.__version__,
            "numpy": np.__version__,
        },
    }


def _markdown(told: Mapping[str, Any], picture: str | None) -> str:
    model, machine = told["model"], told["machine"]
    parts = [
        "# qnn-sd verification report",
        f"**{told['verdict'].capitalize()}.** {model['config']}{', another checkpoint' * model['own_checkpoint']}, "
        f"{model['width']}x{model['height']}, for {told['soc']}; rounding: {model['rounding']}; encodings given for: "
        f"{', '.join(model['given_encodings']) or 'nothing'}. Made {told['made']}.",
        "\n".join(f"- {cell(line)}" for line in told["doubts"]),
    ]
    if refused := told["refused"]:
        parts += ["## Refused", f"{refused['what']}.", f"{refused['why']}", f"Next: {refused['next']}"]
    if told["components"]:
        parts += [
            "## Gates",
            f"{FIGURES}; dB, at guidance {model['guidance']:g}, the model's own. "
            f"Refused below {BINARY_AGAINST_QDQ.least_db:.0f} and, for the difference, "
            f"{BINARY_AGAINST_QDQ.least_difference_db:.0f} (binary against QDQ graph), "
            f"{QDQ_AGAINST_FLOAT.least_db:.0f} and {QDQ_AGAINST_FLOAT.least_difference_db:.0f} (QDQ graph against "
            "float).",
            table(["component", "binary / QDQ", "worst input", "QDQ / float", "worst input"], _gates(told)),
        ]
        if settings := told["components"].get("unet", {}).get("settings"):
            rows = [SettingLikeness.model_validate(each).row for each in settings]
            parts += ["## UNet by setting", table(["guidance", "negative prompt", "QDQ / float"], rows)]
    if pictures := told["pictures"]:
        rows = [
            [name, _decibels(each["psnr_db_against_float"]), f"{each['seconds']:.0f}"]
            for name, each in pictures.items()
            if name != "left_out"
        ]
        asked = f"{cell(told['request']['prompt'])}, seed {told['request']['seed']}, {told['request']['steps']} steps"
        parts += ["## Pictures", f"![float, QDQ, binary](<{picture}>)", f"{asked}. From the left:"]
        parts += [table(["form", "PSNR against float, dB", "seconds"], rows), pictures.get("left_out", "")]
    stages = [
        [each["stage"], each["component"], f"{each['seconds'] / 60:.1f}", "cached" if each["cached"] else ""]
        for each in told["stages"]
    ]
    parts += [
        "## Time and memory",
        f"{machine['system']} {machine['machine']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB. "
        f"Largest process of this run: {told['peak_memory_bytes'] / 1e9:.1f} GB.",
        table(["stage", "component", "minutes", ""], stages),
        "## Versions",
        table(["package", "version"], [[name, number] for name, number in told["versions"].items()]),
        "## For machines",
        f"<details>\n\n```json\n{json.dumps(told, ensure_ascii=False, indent=2, allow_nan=False)}\n```\n\n</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gates(told: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, each in told["components"].items():
        binary, floats = each["binary_against_qdq"], each["qdq_against_float"]
        told_of_binary = ["-", "not reached"] if binary is None else [_text(binary), binary["worst_input"]]
        rows.append([name, *told_of_binary, _text(floats), floats["worst_input"]])
    return rows


def _decibels(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.1f}"


def _text(likeness: Mapping[str, Any]) -> str:
    return Likeness.model_validate(likeness).text
