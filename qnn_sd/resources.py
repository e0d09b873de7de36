"""Where the kit's own files are: model configs, device profiles, the demo checkpoint.

In a checkout (and an editable install) they stand beside the package, in an installed wheel
inside it. Nothing else in the kit needs to know which.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent


def _root() -> Path:
    installed = PACKAGE / "_data"
    return installed if installed.is_dir() else PACKAGE.parent


def model_configs() -> Path:
    """Folder of ``<model>.toml``."""
    return _root() / "model_configs"


def device_profiles() -> Path:
    """Folder of ``<soc>.toml``."""
    return _root() / "device_profiles"


def assets() -> Path:
    """Folder of the demo checkpoint and the calibration prompts."""
    return _root() / "assets"


def cache() -> Path:
    """Folder of the artifacts: ``$QNN_SD_CACHE``, or the platform's cache folder."""
    override = os.environ.get("QNN_SD_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("qnn-sd", False))
