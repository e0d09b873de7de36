"""The commands that people type."""

from __future__ import annotations

from qnn_sd.supported_platform import refuse_other_platforms


def console_script() -> None:
    """``qnn-sd`` as a process of its own."""
    refuse_other_platforms()
    from qnn_sd.cli import app  # noqa: PLC0415 (elsewhere its packages are missing)

    app.console_script()


__all__ = ["console_script"]
