"""The stand-in for AI Hub in this process, and the unmodified client that talks to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import qai_hub
from qai_hub import public_api_pb2
from qai_hub.api_utils import load_api_config_from_file
from qai_hub.client import Client, Model
from qai_hub.public_rest_api import create_and_upload_model

from qnn_sd.hub_stand_in import StandIn

DEVICE = qai_hub.Device("Samsung Galaxy S24")


def client_of(hub: StandIn) -> Client:
    """AI Hub's own client, with the settings that the stand-in wrote."""
    return Client(load_api_config_from_file(str(hub.client_ini)))


def upload_folder(qdq: Path, name: str, parent: Path) -> Path:
    """A QDQ graph's folder as AI Hub takes it: its ``model.onnx``, which has its weights in it, and nothing else."""
    folder = parent / f"{name}.onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((qdq / "model.onnx").read_bytes())
    return folder


def as_dataset(feeds: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """One sample, as the client takes inputs."""
    return {name: [array] for name, array in feeds.items()}


def upload_bytes(hub: StandIn, content: bytes, path: Path, *, is_directory: bool = True) -> Model:
    """Uploads what the client itself would not make: an archive of any content, as an ONNX model."""
    path.write_bytes(content)
    client = client_of(hub)
    kind = public_api_pb2.MODEL_TYPE_ONNX
    made = create_and_upload_model(client.config, str(path), kind, name=path.stem, is_directory=is_directory)
    return client.get_model(made.id)
