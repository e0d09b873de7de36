"""Every step from adb to an image, checked one after the other on one phone: ``qnn-sd doctor --phone``."""

from qnn_sd.targets.adb.diagnostics.checklist import Step
from qnn_sd.targets.adb.diagnostics.context import DiagnosticsContext, DiagnosticsRequest, GeneratedImage
from qnn_sd.targets.adb.diagnostics.diagnostics import Findings, PhoneDiagnostics
from qnn_sd.targets.adb.diagnostics.privacy import Privacy
from qnn_sd.targets.adb.diagnostics.report import document, markdown

__all__ = [
    "DiagnosticsContext",
    "DiagnosticsRequest",
    "Findings",
    "GeneratedImage",
    "PhoneDiagnostics",
    "Privacy",
    "Step",
    "document",
    "markdown",
]
