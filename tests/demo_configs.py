"""Model configs with less of everything: for tests of what a command does, not of how good its result is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Takes a fifth of the demo's time to build. With much less the gates refuse it.
LESS = {
    "guidance = [1.0, 7.5]": "guidance = []",
    "trajectories = 36": "trajectories = 12",
    "images = 12": "images = 3",
    "trajectories = 5": "trajectories = 3",
    "images = 2": "images = 1",
    "samples = 64": "samples = 16",
    "held_out = 16": "held_out = 4",
    "seed = 500000": "seed = 500000\nprompts_per_setting = 1\nimages = 1\ntexts = 2\nlooked_at = 2",
}
# Generates an image that can be told from noise in a fifth of the time.
FEW_STEPS = {"width = 128\nsteps = 20": "width = 128\nsteps = 4"}
# Half of that again: where nobody looks at the image.
TWO_STEPS = {"width = 128\nsteps = 20": "width = 128\nsteps = 2"}
# Runs the command with the configs of the folder that is its first argument.
COMMAND_WITH_CONFIGS = """
import sys
from pathlib import Path
from qnn_sd import resources
configs = Path(sys.argv.pop(1))
resources.model_configs = lambda: configs
from qnn_sd.cli import console_script
console_script()
"""


def changed_demo(folder: Path, changes: Mapping[str, str], name: str = "tiny-sd") -> None:
    """Writes the demo's config with some lines changed to a folder, under a name."""
    text = (ROOT / "model_configs" / "tiny-sd.toml").read_text("utf-8")
    for old, new in {'name = "tiny-sd"': f'name = "{name}"', **changes}.items():
        assert text.count(old) == 1, f"{old} isn't in the demo's config once"
        text = text.replace(old, new)
    (folder / f"{name}.toml").write_text(text, "utf-8")
