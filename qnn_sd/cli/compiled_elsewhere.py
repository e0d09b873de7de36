"""Who compiled a bundle's binaries elsewhere: Qualcomm AI Hub, or the stand-in for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qnn_sd.artifact import MANIFEST
from qnn_sd.artifact_manifest import ArtifactManifest


def compiled_by(folder: Path) -> str | None:
    """Who compiled them, in words; None where they were compiled here, or where the manifest can't be read.

    Args:
        folder: of the bundle, or of a component's binary.
    """
    hub = _hub(folder)
    return None if hub is None else str(hub["compiled_by"])


def compiled_elsewhere(folder: Path) -> str | None:
    """The same in one line, with the QAIRT release.

    Args:
        folder: of the bundle, or of a component's binary.
    """
    hub = _hub(folder)
    return None if hub is None else f"compiled by {hub['compiled_by']}, QAIRT {hub['qairt']}, for {hub['device']}"


def _hub(folder: Path) -> Mapping[str, Any] | None:
    with suppress(OSError, ValueError):
        hub = ArtifactManifest.model_validate_json((folder / MANIFEST).read_text("utf-8")).metadata.get("hub")
        return hub if isinstance(hub, Mapping) and {"compiled_by", "qairt", "device"} <= hub.keys() else None
    return None
