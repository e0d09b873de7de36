"""The inputs that a build kept to verify with, found again by the keys in the manifests of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.artifact import MANIFEST
from qnn_sd.artifact_manifest import ArtifactManifest
from qnn_sd.binaries.found import Found
from qnn_sd.compile import Binary
from qnn_sd.pipeline.stages.verify_stage import labelled_inputs
from qnn_sd.quantize.calibration import Trajectory
from qnn_sd.verification import VerificationInput


@dataclass(frozen=True)
class KeptInputs:
    """What a component of a build can be verified with again.

    Attributes:
        binary: its binary and its QDQ graph.
        floats: folder of its float graph; None where the cache no longer has it.
        inputs: those that the emulator was asked for.
    """

    binary: Binary
    floats: Path | None
    inputs: list[VerificationInput]


def kept_inputs(found: Found, cache: Path) -> dict[str, KeptInputs]:
    """By component: what the cache has for a bundle, or a result of the compile stage; empty for anything else.

    Args:
        found: what was named.
        cache: folder of the artifacts.
    """
    own = _manifest(found.place) if found.place.is_dir() else None
    if own is None:
        return {}
    verifications = [each for each in map(_manifest, sorted((cache / "verify").glob("*"))) if each is not None]
    kept = {}
    for component, (binary, qdq, folder, qdq_folder) in _parts(found, own, cache).items():
        of_binary = next((each for each in verifications if each.inputs.get("binary") == binary), None)
        of_qdq = next((each for each in verifications if each.inputs.get("qdq") == qdq), None)
        verified = of_binary or of_qdq
        recorded = _folder(cache, "calibrate", verified.inputs["verification"]) if verified else None
        info = next((each.info for each in found.binaries if each.component in (None, component)), None)
        if recorded is None or qdq_folder is None or info is None or not info.soc_model or not info.htp_arch:
            continue
        images = int(of_binary.settings.get("trajectories", 1)) if of_binary else 1
        floats = _folder(cache, "export", of_qdq.inputs["float"]) if of_qdq else None
        inputs = _inputs(recorded, component, images)
        if inputs:
            kept[component] = KeptInputs(Binary(qdq_folder, folder, info.soc_model, info.htp_arch), floats, inputs)
    return kept


def _parts(found: Found, own: ArtifactManifest, cache: Path) -> dict[str, tuple[str, str, Path, Path | None]]:
    """By component: keys of the binary and the QDQ graph, and their folders."""
    if found.bundle is not None:
        return {
            name: (
                own.inputs.get(f"{name}/htp", ""),
                own.inputs.get(f"{name}/cpu", ""),
                (found.place / part.file).parent,
                (found.place / part.fallback).parent if part.fallback else None,
            )
            for name, part in found.bundle.components.items()
            if part.kind == "context_binary"
        }
    if own.stage != "compile" or own.work is None or own.work.component is None:
        return {}
    qdq = own.inputs.get("qdq", "")
    return {own.work.component: (own.key, qdq, found.place, _folder(cache, "quantize", qdq))}


def _manifest(folder: Path) -> ArtifactManifest | None:
    try:
        return ArtifactManifest.model_validate_json((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _folder(cache: Path, stage: str, key: str) -> Path | None:
    return next(iter(sorted((cache / stage).glob(f"*-{key[:12]}"))), None) if key else None


def _inputs(recorded: Path, component: str, images: int) -> list[VerificationInput]:
    manifest = _manifest(recorded)
    if manifest is None:
        return []
    settings: Mapping[str, Any] = manifest.settings
    trajectories = [Trajectory(**{**each, "kept": tuple(each["kept"])}) for each in settings["trajectories"]]
    has_passes = settings["model"]["time_cond_proj_dim"] is None
    inputs = labelled_inputs(
        recorded,
        component,
        settings["components"].get(component, "steps"),
        trajectories,
        settings["steps"],
        lambda guidance: 2 if guidance > 1 and has_passes else 1,
    )
    return [each for each in inputs if each.trajectory is None or each.trajectory < images]
