"""What the worker is built and tested with, from Maven Central: pinned coordinates, held to their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext

from qnn_sd.artifact import sha256_of_file
from qnn_sd.errors import ArtifactError


@dataclass(frozen=True)
class Pin:
    """One jar.

    Attributes:
        group: Maven's groupId.
        name: Maven's artifactId.
        version: the only one that is taken.
        sha256: of the jar, hex, taken at its first fetch from Maven Central over TLS.
    """

    group: str
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.name}:{self.version}"


# ONNX Runtime's Java API, and its natives for the desktop.
ONNXRUNTIME = Pin(
    "com.microsoft.onnxruntime",
    "onnxruntime",
    "1.29.0",
    "5933bbc0c6c4d89afc04bf7c11011de23a947509c1352e5bf5936e62a84e4d10",
)
# The compiler whose bytes are committed: the same on every machine that runs Java 17 or newer.
ECJ = Pin("org.eclipse.jdt", "ecj", "3.46.0", "d0d43f8e2d7003e5efed612e2cbb5f01870043397d8f1bbe536fd9128f4fcbf7")
# Turns class files into Android's dex.
DX = Pin(
    "com.jakewharton.android.repackaged",
    "dalvik-dx",
    "16.0.1",
    "1e4b645628e3bdb097b5331d669e177ef235a551582a8c646dbe36865e541907",
)
# Android 8.1's framework, API 27. It comes without java.*: Robolectric takes that from the JVM.
ANDROID_FRAMEWORK = Pin(
    "org.robolectric",
    "android-all",
    "8.1.0-robolectric-4611349",
    "01b3364bc0b4ca099929aa4d818529c7ec05e18b9e4c1e667f99955b16ae19b4",
)
# java.* as Android's libcore has it (RoboVM's runtime is a copy of an older one, so a subset of API 27's).
ANDROID_CORE = Pin(
    "com.mobidevelop.robovm", "robovm-rt", "2.3.24", "57cde400805d16cfdd129118b27e75676bf240be0632c0ce9d67b3f9af34f77f"
)


def fetch(pin: Pin) -> Path:
    """The jar in the local Maven repository (``~/.m2/repository`` or ``$M2_REPO``), downloaded if it isn't there.

    A download that was cut off leaves half a file there, which looks like a whole one to jgo: a
    file that doesn't match its hash is fetched once more before it is an error.

    Raises:
        ArtifactError: it can't be downloaded, or isn't the pinned one.
    """
    for _attempt in range(2):
        try:
            path = MavenContext().project(pin.group, pin.name).at_version(pin.version).artifact().resolve()
        except Exception as error:
            raise ArtifactError(
                f"{pin} can't be fetched",
                why=f"{type(error).__name__}: {error}",
                hint="It is needed once: connect this machine to Maven Central, or put the jar into ~/.m2/repository.",
            ) from error
        found = sha256_of_file(path)
        if found == pin.sha256:
            return path
        path.unlink()
    raise ArtifactError(
        f"{pin} isn't the file that it was",
        why=f"Its SHA-256 is {found}, pinned is {pin.sha256}.",
        hint="Something between this machine and Maven Central changes files: don't use what it gave.",
    )
