"""The page of ``qnn-sd verify --report``, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qnn_sd.config import load_profile
from qnn_sd.markdown import cell, table
from qnn_sd.verification import QDQ_AGAINST_FLOAT, SQNR_FIGURES, SettingSqnr, SqnrSummary, binary_gate


def report_page(report: Mapping[str, Any], image: str | None) -> str:
    """A report as a page.

    Args:
        report: a ``VerificationReport`` as JSON.
        image: name of the images' file beside the page, or None.
    """
    model, size, machine = report["model"], report["model"]["size"], report["machine"]
    of_binary = binary_gate(load_profile(report["soc"]).htp_arch)
    parts = [
        "# qnn-sd verification report",
        f"**{report['verdict'].capitalize()}.** {model['config']}{', another checkpoint' * model['own_checkpoint']}, "
        f"{size['width']}x{size['height']}, for {report['soc']}; rounding: {model['rounding']}; encodings given for: "
        f"{', '.join(model['encodings_from_file']) or 'nothing'}. Made {report['made_at']}.",
        "\n".join(f"- {cell(line)}" for line in report["warnings"]),
    ]
    if error := report["error"]:
        parts += ["## Refused", f"{error['what']}.", f"{error['why']}", f"Next: {error['next']}"]
    if report["components"]:
        parts += [
            "## Gates",
            f"{SQNR_FIGURES}; dB, at guidance {model['guidance']:g}, the model's own. "
            f"Refused below {of_binary.least_db:.0f} and, for the difference, "
            f"{of_binary.least_difference_db:.0f} (binary against QDQ graph), "
            f"{QDQ_AGAINST_FLOAT.least_db:.0f} and {QDQ_AGAINST_FLOAT.least_difference_db:.0f} (QDQ graph against "
            "float).",
            table(["component", "binary / QDQ", "worst input", "QDQ / float", "worst input"], _gates(report)),
        ]
        if settings := report["components"].get("unet", {}).get("settings"):
            rows = [SettingSqnr.model_validate(each).row for each in settings]
            parts += ["## UNet by setting", table(["guidance", "negative prompt", "QDQ / float"], rows)]
    if images := report["images"]:
        rows = [
            [name, _decibels(each["psnr_db_against_float"]), f"{each['seconds']:.0f}"]
            for name, each in images["forms"].items()
        ]
        asked = (
            f"{cell(report['request']['prompt'])}, seed {report['request']['seed']}, {report['request']['steps']} steps"
        )
        parts += ["## Images", f"![float, QDQ, binary](<{image}>)", f"{asked}. From the left:"]
        parts += [table(["form", "PSNR against float, dB", "seconds"], rows), images["left_out"] or ""]
    stages = [
        [
            each["stage"],
            each["component"] or "all",
            each["subject"] or "",
            f"{each['seconds'] / 60:.1f}",
            "cached" if each["cached"] else "",
        ]
        for each in report["stages"]
    ]
    parts += [
        "## Time and memory",
        f"{machine['system']} {machine['machine']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB. "
        f"Largest process of this run: {report['peak_memory_bytes'] / 1e9:.1f} GB.",
        table(["stage", "component", "of", "minutes", ""], stages),
        "## Versions",
        table(["package", "version"], [[name, number] for name, number in report["versions"].items()]),
        "## For machines",
        f"<details>\n\n```json\n{json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False)}\n```\n\n</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gates(report: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, each in report["components"].items():
        binary, floats = each["binary_against_qdq"], each["qdq_against_float"]
        told_of_binary = ["-", "not reached"] if binary is None else [_text(binary), binary["worst_input"]]
        rows.append([name, *told_of_binary, _text(floats), floats["worst_input"]])
    return rows


def _decibels(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.1f}"


def _text(sqnr: Mapping[str, Any]) -> str:
    return SqnrSummary.model_validate(sqnr).text
