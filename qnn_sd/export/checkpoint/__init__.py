"""Reads checkpoints: diffusers' folders, single files, hub ids; LoRAs, embeddings, another VAE."""

from qnn_sd.export.checkpoint.checkpoint import Checkpoint
from qnn_sd.export.checkpoint.identity import CheckpointIdentity
from qnn_sd.export.checkpoint.opening import located_embedding, located_lora, open_checkpoint
from qnn_sd.export.checkpoint.sources import Sources, parse_embedding, parse_lora
from qnn_sd.export.checkpoint.tensors import Array, RandomTensors, TensorSource

__all__ = [
    "Array",
    "Checkpoint",
    "CheckpointIdentity",
    "RandomTensors",
    "Sources",
    "TensorSource",
    "located_embedding",
    "located_lora",
    "open_checkpoint",
    "parse_embedding",
    "parse_lora",
]
