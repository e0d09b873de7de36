"""What the worker is built and tested with: pinned jars, fetched and held as the phone's runtime libraries are."""

from __future__ import annotations

from qnn_sd.runtime_libraries import Pin, load_pins

# ONNX Runtime's Java API, and its natives for the desktop: the one that the virtual phone runs on.
ONNXRUNTIME = load_pins().desktop
# The hashes below were taken at the first fetch from Maven Central over TLS.
# The compiler whose bytes are committed: the same on every machine that runs Java 17 or newer.
ECJ = Pin(
    coordinate="org.eclipse.jdt:ecj:3.46.0",
    packaging="jar",
    sha256="d0d43f8e2d7003e5efed612e2cbb5f01870043397d8f1bbe536fd9128f4fcbf7",
)
# Turns class files into Android's dex.
DX = Pin(
    coordinate="com.jakewharton.android.repackaged:dalvik-dx:16.0.1",
    packaging="jar",
    sha256="1e4b645628e3bdb097b5331d669e177ef235a551582a8c646dbe36865e541907",
)
# Android 8.1's framework, API 27. It comes without java.*: Robolectric takes that from the JVM.
ANDROID_FRAMEWORK = Pin(
    coordinate="org.robolectric:android-all:8.1.0-robolectric-4611349",
    packaging="jar",
    sha256="01b3364bc0b4ca099929aa4d818529c7ec05e18b9e4c1e667f99955b16ae19b4",
)
# java.* as Android's libcore has it: RoboVM's runtime is a copy of 2015, so it lacks what came with API 24 and later.
# Not a newer one: MobiVM's, its successor, has Java 9's ByteBuffer.clear() and the like, which Android got with API 29.
ANDROID_CORE = Pin(
    coordinate="org.robovm:robovm-rt:1.8.0",
    packaging="jar",
    sha256="15b2ad241b622a244822fdbffdf8a71870b9b024351310d34e41dbad4f7aded8",
)
