"""The page of ``qnn-sd verify --hub --report``, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qnn_sd import output_files
from qnn_sd.cli.documents.verify_hub import ComparedComponent, DeviceVerification, VerifyHubDocument
from qnn_sd.cli.redacted import redacted
from qnn_sd.cli.verify_hub_report import STAND_IN, row, where_it_parts
from qnn_sd.markdown import cell, table
from qnn_sd.targets.adb.diagnostics import Privacy
from qnn_sd.verification import SQNR_FIGURES

_FIGURES = ("component", "silicon / emulator", "silicon / QDQ", "silicon / float", "QDQ / float", "ms", "job")

_STAND_IN_TITLE = "# qnn-sd against a stand-in for Qualcomm AI Hub: no device"


def write_hub_page(output: Path, document: VerifyHubDocument, privacy: Privacy) -> None:
    """Writes the page; it names no user, machine, path or checkpoint.

    Raises:
        OutputError: it can't be written; an earlier one stays as it was.
    """
    told = redacted(document, privacy)
    with output_files.written_aside(output) as aside:
        aside.write_text(hub_page(document, told), "utf-8")


def hub_page(document: VerifyHubDocument, told: Mapping[str, Any]) -> str:
    """The page.

    Args:
        document: what was measured.
        told: the same as JSON, for programs, without what is private.
    """
    size, which = document.size, ", another checkpoint" * document.own_checkpoint
    whose = ", against a stand-in: no device" * document.stand_in
    parts = [
        "# qnn-sd on a device at Qualcomm AI Hub" if not document.stand_in else _STAND_IN_TITLE,
        f"**{document.verdict.capitalize()}{whose}.** {cell(told['model'])}{which}, {size.width}x{size.height}. "
        f"Made {document.made_at}.",
    ]
    for each, as_told in zip(document.devices, told["devices"], strict=True):
        parts += _device(each, as_told)
    parts += [
        "## Versions",
        table(["package", "version"], [[name, number] for name, number in document.versions.items()]),
        "## For machines",
        f"<details>\n\n```json\n{json.dumps(told, ensure_ascii=False, indent=2, allow_nan=False)}\n```\n\n</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _device(verified: DeviceVerification, told: Mapping[str, Any]) -> list[str]:
    limit = verified.limit
    parts = [f"## {cell(verified.device)}"]
    if verified.stand_in:
        parts.append(f"**These figures are of the {STAND_IN}.**")
    road = "the context binary, by QNN" if verified.form == "bin" else "an EPContext ONNX, by ONNX Runtime"
    parts.append(
        f"System {cell(verified.os)}; binaries for {verified.soc} (HTP v{verified.htp_arch}), compiled by QAIRT "
        f"{verified.binary_qairt or 'unknown'}; emulator of QAIRT {verified.emulator_qairt or 'unknown'}. "
        f"It ran {road}."
    )
    if error := told["error"]:
        parts += ["### Refused", f"{cell(error['what'])}.", cell(error["why"]), f"Next: {cell(error['next'])}"]
    if not verified.components:
        return parts
    rows = [[str(each) for each in row(name, compared)] for name, compared in verified.components.items()]
    return [
        *parts,
        table(_FIGURES, rows),
        f"{SQNR_FIGURES}; dB. Refused below {limit.least_db:.0f} and, for the difference, "
        f"{limit.least_difference_db:.0f} (silicon against QDQ graph). ms: median of a call in the job's profile.",
        "### Where it parts",
        "\n".join(f"- {cell(line)}" for line in where_it_parts(verified)),
        *_calls(verified.components),
        "### Jobs",
        table(["component", "job", "QAIRT", "outputs"], [_job(*each) for each in verified.components.items()]),
    ]


def _calls(components: Mapping[str, ComparedComponent]) -> list[str]:
    rows = [
        [name, each.label, each.sqnr.text, each.sqnr.worst_input]
        for name, compared in components.items()
        for each in compared.by_call
    ]
    return ["### Call by call", table(["component", "call", "dB", "worst input"], rows)]


def _job(name: str, compared: ComparedComponent) -> list[str]:
    job = compared.job
    return [name, job.url, job.qairt or "not said", "kept from an earlier command" if job.kept else "of this command"]
