"""The page as a whole: from a ``ReportDocument`` as JSON, and the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from qnn_sd.report import accuracy, build
from qnn_sd.report.images import PromptImages, image_rows
from qnn_sd.report.markup import command_lines, facts, joined, json_block, paragraph, safe, section, table, tiles
from qnn_sd.report.measured import measured
from qnn_sd.verification import Gate

# Nothing is fetched and nothing runs: the images and the styles are in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_VERDICTS = {"passed": "good", "passed with warnings": "fair", "refused": "poor"}


def report_page(report: Mapping[str, Any], prompts: Sequence[PromptImages]) -> str:
    """The page.

    Args:
        report: a ``ReportDocument`` as JSON, with nothing private in it.
        prompts: what each was generated as; none where a gate refused.
    """
    verification = report["verification"]
    title = f"{verification['model']['config']} for {report['soc']['title']}"
    named = f"{title}: {verification['verdict']}"
    style = resources.files("qnn_sd.report").joinpath("page.css").read_text("utf-8")
    return joined(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">',
            f"<title>{safe(named)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            _header(report, title),
            "<main>",
            section("Images", _images(prompts, verification["verdict"] == "refused")),
            section("Accuracy", *accuracy.parts(report)),
            section("Quantization", *build.quantization(report)),
            section("Estimated time and traffic", *build.cost(report)),
            section("On devices", *measured(report)) if report["measured"] else "",
            section("Sizes and stages", *build.sizes_and_stages(report)),
            section("How to reproduce it", command_lines((each["does"], each["line"]) for each in report["commands"])),
            section("Versions", *_versions(verification)),
            "</main>",
            "<footer><p>Made by qnn-sd. The figures are in this file for programs as well, as JSON: the element "
            "<code>#qnn-sd-report</code>.</p></footer>",
            json_block(report, "qnn-sd-report"),
            "</body>\n</html>\n",
        ]
    )


def _header(report: Mapping[str, Any], title: str) -> str:
    verification, soc = report["verification"], report["soc"]
    model, size, versions = verification["model"], verification["model"]["size"], verification["versions"]
    kind = _VERDICTS[verification["verdict"]]
    given = ", ".join(model["encodings_from_file"])
    told = {
        "Model": model["config"] + ", with another checkpoint" * model["own_checkpoint"],
        "Image": f"{size['width']}x{size['height']} pixels",
        "SoC": f"{soc['title']} ({soc['name']})",
        "HTP": f"v{soc['htp_arch']}",
        "Rounding": model["rounding"] + (f"; encodings given for {given}" if given else ""),
        "Made": verification["made_at"].replace("T", " ").replace("+00:00", " UTC"),
        "qnn-sd": versions["qnn-sd"],
        "onnxruntime-qnn": versions["onnxruntime-qnn"],
    }
    warnings = "".join(f"<li>{safe(each)}</li>" for each in verification["warnings"])
    return joined(
        [
            f'<header class="{kind}">\n<p class="kicker">qnn-sd report</p>\n<h1>{safe(title)}</h1>',
            paragraph(f"<strong>{verification['verdict'].capitalize()}</strong> {_meaning(verification)}", "verdict"),
            _refusal(verification["error"]),
            f'<ul class="warnings">{warnings}</ul>' if warnings else "",
            tiles(_headline(report)),
            facts(told),
            "</header>",
        ]
    )


def _meaning(verification: Mapping[str, Any]) -> str:
    if verification["verdict"] == "refused":
        return "The build was stopped: its binaries are not bundled."
    return (
        "Every component is near its reference: the QDQ graph near the float model, the context binary on the HTP "
        "emulator near the QDQ graph."
    )


def _refusal(error: Mapping[str, Any] | None) -> str:
    if error is None:
        return ""
    return joined(
        [
            '<div class="refusal" role="note">',
            paragraph(f"<strong>{safe(error['what'])}.</strong>"),
            paragraph(safe(error["why"])),
            paragraph(f"<strong>Next:</strong> {safe(error['next'])}" if error["next"] else ""),
            "</div>",
        ]
    )


def _headline(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    found = []
    for field, name in (
        ("binary_against_qdq", "Binary against QDQ, worst"),
        ("qdq_against_float", "QDQ against float, worst"),
    ):
        gate = accuracy.gate_of(field, report)
        worst = [each[field]["worst_db"] for each in report["verification"]["components"].values() if each[field]]
        if worst:
            found.append((name, f"{min(worst):.1f} dB", f"at least {gate.least_db:.0f} dB", _grade(min(worst), gate)))
    for each in report["prompts"][:1]:
        *_, (name, form) = each["images"]["forms"].items()
        if form["psnr_db_against_float"] is not None:
            found.append(("Image", f"{form['psnr_db_against_float']:.1f} dB", f"PSNR, {name} against float", ""))
    sizes = [each["binary_bytes"] for each in report["graphs"].values() if each["binary_bytes"] is not None]
    if sizes:
        found.append(("Binaries", build.megabytes(sum(sizes)), f"{len(sizes)} components", ""))
    return found


def _grade(db: float, gate: Gate) -> str:
    return "poor" if not db >= gate.least_db else "fair" if not db >= gate.warn_db else "good"


def _images(prompts: Sequence[PromptImages], refused: bool) -> str:
    if not prompts:
        return paragraph("There are none: the build is refused.")
    told = "The build is refused. So that it can be seen what it does, an image was generated all the same."
    return joined([paragraph(told if refused else ""), image_rows(prompts)])


def _versions(verification: Mapping[str, Any]) -> list[str]:
    machine = verification["machine"]
    told = (
        f"{machine['system']} {machine['machine']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB "
        f"of memory. The largest process of this run held {verification['peak_memory_bytes'] / 1e9:.1f} GB."
    )
    return [
        table(["package", "version"], list(verification["versions"].items()), "What it was made with"),
        paragraph(safe(told), "note"),
    ]
