"""``python -m qnn_sd``."""

from qnn_sd.cli import console_script

console_script()
