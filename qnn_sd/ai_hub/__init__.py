"""Qualcomm AI Hub: uploads, jobs and their results, over its own client. Needs the extra ``hub``."""

from __future__ import annotations

from qnn_sd.ai_hub.cloud_devices import ALL_DEVICES, CloudDevice, device_names, near_names, one_per_soc, profile_of
from qnn_sd.ai_hub.device_binaries import DeviceBinaries, binaries_for
from qnn_sd.ai_hub.job_states import JobState
from qnn_sd.ai_hub.profile_result import HubOp, HubProfile
from qnn_sd.ai_hub.qairt_release import qairt_to_ask_for
from qnn_sd.ai_hub.service import HubService
from qnn_sd.ai_hub.work import CompileWork, HubJob, HubModel, InferenceWork, LinkWork, ProfileWork, Work

__all__ = [
    "ALL_DEVICES",
    "CloudDevice",
    "CompileWork",
    "DeviceBinaries",
    "HubJob",
    "HubModel",
    "HubOp",
    "HubProfile",
    "HubService",
    "InferenceWork",
    "JobState",
    "LinkWork",
    "ProfileWork",
    "Work",
    "binaries_for",
    "device_names",
    "near_names",
    "one_per_soc",
    "profile_of",
    "qairt_to_ask_for",
]
