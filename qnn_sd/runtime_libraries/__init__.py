"""The phone's runtime libraries: ONNX Runtime, its QNN plugin, and QNN's own for each HTP.

``fetch`` downloads a published set, or takes QNN's libraries from a QAIRT SDK; ``select_libraries`` chooses those that
a phone gets. ``pinned_file`` gives any artifact of a Maven repository whose hash is known.
"""

from qnn_sd.runtime_libraries.artifact_files import ArtifactFile, desktop_jar, expected_hash, pinned_file
from qnn_sd.runtime_libraries.binary_version import qairt_version_of
from qnn_sd.runtime_libraries.fetching import FetchResult, fetch
from qnn_sd.runtime_libraries.pins import Pin, Pins, PublishedSet, load_pins
from qnn_sd.runtime_libraries.qairt_sdk import QairtSdk, open_qairt_sdk, published_set_for_sdk
from qnn_sd.runtime_libraries.select import (
    LibraryFolder,
    RuntimeLibraries,
    fetched_folders,
    htp_archs_in,
    select_libraries,
)

__all__ = [
    "ArtifactFile",
    "FetchResult",
    "LibraryFolder",
    "Pin",
    "Pins",
    "PublishedSet",
    "QairtSdk",
    "RuntimeLibraries",
    "desktop_jar",
    "expected_hash",
    "fetch",
    "fetched_folders",
    "htp_archs_in",
    "load_pins",
    "open_qairt_sdk",
    "pinned_file",
    "published_set_for_sdk",
    "qairt_version_of",
    "select_libraries",
]
