"""The phone's runtime libraries: ONNX Runtime, its QNN plugin, and QNN's own for each HTP."""

from qnn_sd.runtime_libraries.binary_version import qairt_version_of
from qnn_sd.runtime_libraries.fetch import Fetched, companion_of, fetch
from qnn_sd.runtime_libraries.obtain import Obtained, desktop_jar, file_of, known_hash
from qnn_sd.runtime_libraries.pins import Pin, Pins, PublishedSet, load_pins
from qnn_sd.runtime_libraries.sdk import Sdk, open_sdk
from qnn_sd.runtime_libraries.select import LibraryFolder, RuntimeLibraries, archs_in, fetched, pick

__all__ = [
    "Fetched",
    "LibraryFolder",
    "Obtained",
    "Pin",
    "Pins",
    "PublishedSet",
    "RuntimeLibraries",
    "Sdk",
    "archs_in",
    "companion_of",
    "desktop_jar",
    "fetch",
    "fetched",
    "file_of",
    "known_hash",
    "load_pins",
    "open_sdk",
    "pick",
    "qairt_version_of",
]
