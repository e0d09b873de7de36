"""The pages that help texts end with: the only place that names them."""

from __future__ import annotations

README = "README.md"
AI_HUB = "docs/ai-hub.md"
COMPILE = "docs/compile.md"
DOCTOR = "docs/doctor.md"
EXPORT = "docs/export.md"
GENERATE = "docs/generate.md"
HTP_FORMS = "docs/htp-forms.md"
HUB_STAND_IN = "docs/hub-stand-in.md"
INSPECT = "docs/inspect.md"
PHONE = "docs/phone.md"
QUANTIZATION = "docs/quantization.md"
REPORT = "docs/report.md"
SCRIPTS = "docs/scripts.md"
VERIFICATION = "docs/verification.md"
VIRTUAL_PHONE = "docs/virtual-phone.md"


def name_of(page: str) -> str:
    """What ``qnn-sd docs`` calls a page: ``compile`` for docs/compile.md."""
    return page.rpartition("/")[2].removesuffix(".md").lower()
