"""The worker as it is built: ``worker.dex.jar`` for phones, ``worker.jar`` for the virtual phone's JVM."""

from pathlib import Path

FOLDER = Path(__file__).parent
PHONE_JAR = FOLDER / "worker.dex.jar"
DESKTOP_JAR = FOLDER / "worker.jar"
