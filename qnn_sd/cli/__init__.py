"""The commands that people type."""

from qnn_sd.cli.app import console_script, main

__all__ = ["console_script", "main"]
