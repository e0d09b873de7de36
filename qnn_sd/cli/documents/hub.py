"""Documents of ``qnn-sd hub``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.cli.documents.hub_profile import HubProfileDocument
from qnn_sd.config import StrictModel
from qnn_sd.schemas import Document


class HubStandInDocument(Document):
    """The stand-in for AI Hub that ``qnn-sd hub stand-in`` runs; printed when it answers.

    Attributes:
        url: its address.
        client_ini: the file that AI Hub's client reads, whose path goes into QAIHUB_CLIENT_INI.
        folder: of its models and jobs.
        pid: its process.
        faults: what it was told to do wrong, as typed.
    """

    schema_id: Literal["qnn-sd/hub-stand-in/1"] = Field("qnn-sd/hub-stand-in/1", alias="schema")
    url: str
    client_ini: str
    folder: str
    pid: int
    faults: list[str]


class HubJobEntry(StrictModel):
    """A job of the journal.

    Attributes:
        made_at: when it was submitted, UTC, ISO 8601.
        kind: what it does.
        label: what it is of, such as unet.
        cloud_device: name of the device.
        job: identifier at AI Hub; null for one whose submission was never answered.
        state: in words.
        failure_type: AI Hub's number, of one that failed; else null.
        url: its page; null likewise.
    """

    made_at: str
    kind: Literal["profile", "inference", "compile", "link"]
    label: str
    cloud_device: str
    job: str | None
    state: str
    failure_type: int | None
    url: str | None


class HubJobsDocument(Document):
    """The jobs that this machine has submitted to AI Hub, as ``qnn-sd hub jobs`` lists them; newest first.

    Attributes:
        stand_in: whether a stand-in answered, and no device was used.
        jobs: newest first.
    """

    schema_id: Literal["qnn-sd/hub-jobs/1"] = Field("qnn-sd/hub-jobs/1", alias="schema")
    stand_in: bool
    jobs: list[HubJobEntry]


class HubResumeDocument(Document):
    """What became of jobs that hadn't ended, as ``qnn-sd hub resume`` waited for them.

    Attributes:
        stand_in: whether a stand-in answered, and no device was used.
        jobs: that were waited for, newest first.
        profiles: what was measured, one for each build and device.
        error: what the command ended with where a job failed or didn't end; else null.
    """

    schema_id: Literal["qnn-sd/hub-resume/1"] = Field("qnn-sd/hub-resume/1", alias="schema")
    stand_in: bool
    jobs: list[HubJobEntry]
    profiles: list[HubProfileDocument]
    error: ErrorDetail | None


class HubDeviceEntry(StrictModel):
    """A device of the account.

    Attributes:
        name: such as Samsung Galaxy S24.
        os: version of its system.
        chipsets: what AI Hub calls its SoC.
        htp_arch: the Hexagon architecture; null where AI Hub doesn't say.
        proxy: whether it is other hardware that stands for a chip.
        soc: whose binaries it gets; null where none load.
        own: whether that is its own SoC.
        remark: why it gets another one's, or none; empty for its own.
    """

    name: str
    os: str
    chipsets: list[str]
    htp_arch: int | None
    proxy: bool
    soc: str | None
    own: bool
    remark: str


class HubDevicesDocument(Document):
    """The devices that an account has at AI Hub, as ``qnn-sd hub devices`` lists them.

    Attributes:
        stand_in: whether a stand-in answered, and no device was used.
        qairt: QAIRT releases that jobs can ask for, oldest first.
        devices: by name.
    """

    schema_id: Literal["qnn-sd/hub-devices/1"] = Field("qnn-sd/hub-devices/1", alias="schema")
    stand_in: bool
    qairt: list[str]
    devices: list[HubDeviceEntry]
