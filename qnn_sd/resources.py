"""Where qnn-sd's own files are: model configs, device profiles, the demo checkpoint; and which cores it may use.

In a checkout (and an editable install) they stand beside the package, in an installed wheel
inside it. Nothing else needs to know which.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import platformdirs

USER_PROFILES = "QNN_SD_DEVICE_PROFILES"
PACKAGE = Path(__file__).resolve().parent


def _root() -> Path:
    installed = PACKAGE / "_data"
    return installed if installed.is_dir() else PACKAGE.parent


@functools.cache
def code_digest(*parts: str) -> str:
    """Hex SHA-256 of the package's source below some of its folders and files.

    Args:
        parts: names of folders or files in ``qnn_sd/``.
    """
    digest = hashlib.sha256()
    for part in parts:
        root = PACKAGE / part
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def model_configs() -> Path:
    """Folder of ``<model>.toml``."""
    return _root() / "model_configs"


def device_profiles() -> Path:
    """Folder of ``<soc>.toml``."""
    return _root() / "device_profiles"


def user_device_profiles() -> Path:
    """Folder of the user's own ``<soc>.toml``: ``$QNN_SD_DEVICE_PROFILES``, or one in the data folder."""
    override = os.environ.get(USER_PROFILES)
    return Path(override) if override else data() / "device_profiles"


def assets() -> Path:
    """Folder of the demo checkpoint and the prompts."""
    return _root() / "assets"


def docs() -> Path:
    """Folder of the documentation's pages, ``<page>.md``."""
    return _root() / "docs"


def readme() -> Path:
    """The first page."""
    return _root() / "README.md"


def cache() -> Path:
    """Folder of the artifacts: ``$QNN_SD_CACHE``, or the platform's cache folder."""
    override = os.environ.get("QNN_SD_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("qnn-sd", False))


def data() -> Path:
    """Folder of what must outlive the cache: ``$QNN_SD_DATA``, or the platform's data folder."""
    override = os.environ.get("QNN_SD_DATA")
    return Path(override) if override else Path(platformdirs.user_data_dir("qnn-sd", False))


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def session_threads() -> int:
    """Threads of an ONNX Runtime session on the CPU; 0 lets the runtime choose.

    It chooses by the machine and pins each thread to a core, also to one that this process is kept from.
    """
    cores = len(usable_cores())
    return 0 if cores == os.cpu_count() else cores
