"""The stand-in for AI Hub in this process, and the unmodified client that talks to it."""

from __future__ import annotations

from pathlib import Path

import qai_hub
from qai_hub.api_utils import load_api_config_from_file
from qai_hub.client import Client

from qnn_sd.hub_stand_in import StandIn

DEVICE = qai_hub.Device("Samsung Galaxy S24")


def client_of(hub: StandIn) -> Client:
    """AI Hub's own client, with the settings that the stand-in wrote."""
    return Client(load_api_config_from_file(str(hub.client_ini)))


def upload_folder(qdq: Path, name: str) -> Path:
    """A QDQ graph's folder as AI Hub takes it: its ``model.onnx``, which has its weights in it, and nothing else."""
    folder = qdq.parent / f"{name}.onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((qdq / "model.onnx").read_bytes())
    return folder
