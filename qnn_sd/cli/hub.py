"""``qnn-sd hub``: Qualcomm AI Hub's jobs and devices, and a stand-in for it."""

from __future__ import annotations

import click

from qnn_sd.cli.docs import HUB_STAND_IN
from qnn_sd.cli.help import HelpGroup
from qnn_sd.cli.hub_stand_in import stand_in_command


@click.group(
    "hub",
    cls=HelpGroup,
    sections={"Commands": (stand_in_command,)},
    examples=(
        ("Run a stand-in for AI Hub on this machine", "qnn-sd hub stand-in"),
        ("Run one that adds noise to the UNet's outputs", "qnn-sd hub stand-in --fault noise=unet:30"),
    ),
    docs_page=HUB_STAND_IN,
)
def hub_group() -> None:
    """Try Qualcomm AI Hub without an account, on a stand-in."""
