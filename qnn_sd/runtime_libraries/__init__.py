"""The phone's runtime libraries: ONNX Runtime, its QNN plugin, and QNN's own for each HTP.

``fetch`` downloads a published set, or takes QNN's libraries from a QAIRT SDK; ``select_libraries`` chooses those that
a phone gets. ``pinned_file`` gives any artifact of a Maven repository whose hash is known. ``download_file``, the lock
of its folder and the record of hashes serve any other file that is fetched once.
"""

from qnn_sd.runtime_libraries.artifact_files import ArtifactFile, desktop_jar, expected_hash, pinned_file
from qnn_sd.runtime_libraries.binary_version import qairt_version_of
from qnn_sd.runtime_libraries.download import ExpectedHash
from qnn_sd.runtime_libraries.download import download as download_file
from qnn_sd.runtime_libraries.download_folder import download_folder as folder_of_downloads
from qnn_sd.runtime_libraries.download_folder import download_lock
from qnn_sd.runtime_libraries.fetching import FetchResult, fetch
from qnn_sd.runtime_libraries.pins import Pin, Pins, PublishedSet, load_pins
from qnn_sd.runtime_libraries.qairt_sdk import QairtSdk, open_qairt_sdk, published_set_for_sdk
from qnn_sd.runtime_libraries.recorded_hashes import hash_record_file, record_hash, recorded_hash
from qnn_sd.runtime_libraries.repository import (
    Repository,
    connection_error,
    http_error,
    server_of,
    without_credentials,
)
from qnn_sd.runtime_libraries.select import (
    LibraryFolder,
    RuntimeLibraries,
    fetched_folders,
    htp_archs_in,
    select_libraries,
)

__all__ = [
    "ArtifactFile",
    "ExpectedHash",
    "FetchResult",
    "LibraryFolder",
    "Pin",
    "Pins",
    "PublishedSet",
    "QairtSdk",
    "Repository",
    "RuntimeLibraries",
    "connection_error",
    "desktop_jar",
    "download_file",
    "download_lock",
    "expected_hash",
    "fetch",
    "fetched_folders",
    "folder_of_downloads",
    "hash_record_file",
    "htp_archs_in",
    "http_error",
    "load_pins",
    "open_qairt_sdk",
    "pinned_file",
    "published_set_for_sdk",
    "qairt_version_of",
    "record_hash",
    "recorded_hash",
    "select_libraries",
    "server_of",
    "without_credentials",
]
