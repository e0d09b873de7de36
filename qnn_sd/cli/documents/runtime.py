"""Documents of ``qnn-sd runtime fetch`` and ``qnn-sd runtime list``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.runtime_libraries.pins import PublishedSet
from qnn_sd.schemas import Document


class FetchedArtifact(StrictModel):
    """An artifact of a Maven repository.

    Attributes:
        coordinate: ``group:artifact:version``.
        bytes: of its file.
        sha256: of its file, in hex.
        hash_source: what the hash was held against.
        repository_checksums: the repository's own that it was held against.
        downloaded: whether it was downloaded now.
    """

    coordinate: str
    bytes: int
    sha256: str
    hash_source: Literal["pinned", "recorded earlier", "recorded now"]
    repository_checksums: list[str]
    downloaded: bool


class RuntimeFetchDocument(Document):
    """The runtime libraries that ``qnn-sd runtime fetch`` put into the cache.

    Attributes:
        qairt: version of QNN's libraries.
        folder: of the libraries.
        cached: whether it was there already.
        plugin: file name of the QNN execution provider.
        htp_archs: the Hexagon architectures that there is a stub and a skel for.
        artifacts: what they were taken from.
        libraries: where each is from, by file name.
    """

    schema_id: Literal["qnn-sd/runtime-fetch/1"] = Field("qnn-sd/runtime-fetch/1", alias="schema")
    qairt: str
    folder: str
    cached: bool
    plugin: str
    htp_archs: list[int]
    artifacts: list[FetchedArtifact]
    libraries: dict[str, str]


class FetchedLibraries(StrictModel):
    """A folder of runtime libraries.

    Attributes:
        qairt: version of QNN's libraries.
        folder: of the libraries.
        htp_archs: the Hexagon architectures that there is a stub and a skel for.
    """

    qairt: str
    folder: str
    htp_archs: list[int]


class RuntimeListDocument(Document):
    """The runtime libraries that ``qnn-sd runtime list`` knows.

    Attributes:
        published: versions in the repository, oldest first.
        fetched: what is in the cache.
    """

    schema_id: Literal["qnn-sd/runtime-list/1"] = Field("qnn-sd/runtime-list/1", alias="schema")
    published: list[PublishedSet]
    fetched: list[FetchedLibraries]
