"""``qnn-sd hub``: Qualcomm AI Hub's jobs and devices, and a stand-in for it."""

from __future__ import annotations

import click

from qnn_sd.cli.docs import AI_HUB
from qnn_sd.cli.help import HelpGroup
from qnn_sd.cli.hub_devices import hub_devices_command
from qnn_sd.cli.hub_jobs import jobs_command
from qnn_sd.cli.hub_resume import resume_command
from qnn_sd.cli.hub_stand_in import stand_in_command


@click.group(
    "hub",
    cls=HelpGroup,
    sections={"Commands": (jobs_command, resume_command, hub_devices_command, stand_in_command)},
    examples=(
        ("List the jobs that were submitted from here", "qnn-sd hub jobs"),
        ("Run a stand-in for AI Hub on this machine", "qnn-sd hub stand-in"),
    ),
    docs_page=AI_HUB,
)
def hub_group() -> None:
    """See to jobs at Qualcomm AI Hub and to its devices, or try it all without an account, on a stand-in."""
