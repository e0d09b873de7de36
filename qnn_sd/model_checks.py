"""Whether this machine suffices for a model: rows of ``qnn-sd doctor --model``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qnn_sd.health_checks import CheckResult
from qnn_sd.in_words import duration, gigabytes

# Longer than a night.
_LONG_SECONDS = 10 * 3600.0


@dataclass(frozen=True)
class ModelNeeds:
    """What a model is expected to take.

    Attributes:
        seconds: to compile all components for a SoC, verified.
        image_seconds: for an image on the CPU, its float graphs included.
        memory: bytes to compile, at most.
        image_memory: bytes for that image.
        disk: bytes that stay, with those that are needed for a while.
        kept: of them, those that stay.
        cores: that the times are for.
        remark: what else is to be known; empty for nothing.
    """

    seconds: float
    image_seconds: float
    memory: float
    image_memory: float
    disk: float
    kept: float
    cores: int
    remark: str = ""


def check_disk(needs: ModelNeeds, free: int, cache: Path) -> CheckResult:
    """Whether the cache's disk suffices; it surely doesn't where what stays has no room."""
    found = f"{gigabytes(needs.disk)} needed, {gigabytes(free)} free for {cache}{needs.remark}"
    if free >= needs.disk:
        return CheckResult("disk", "ok", found)
    advice = f"Free {gigabytes(needs.disk - free)}, or set QNN_SD_CACHE to a folder with more free space."
    return CheckResult("disk", "failed" if free < needs.kept else "warning", found, advice)


def check_memory(needs: ModelNeeds, available: tuple[int, str] | None) -> CheckResult:
    """Whether memory suffices; it surely doesn't where half of what is needed is free."""
    if available is None:
        return CheckResult("memory", "warning", f"{gigabytes(needs.memory)} needed; nothing says what is free")
    free, where = available
    found = f"{gigabytes(needs.memory)} needed, {gigabytes(free)} free ({where})"
    if free >= needs.memory:
        return CheckResult("memory", "ok", found)
    advice = "Close other programs, raise the container's or the shell's limit, or take a machine with more memory."
    if free >= needs.image_memory:
        advice += f" An image with --target cpu needs {gigabytes(needs.image_memory)}."
    return CheckResult("memory", "failed" if free < needs.memory / 2 else "warning", found, advice)


def check_time(needs: ModelNeeds) -> CheckResult:
    """How long it takes; nothing fails by it."""
    if not needs.seconds:
        return CheckResult("time", "ok", "everything is in the cache")
    cores = "1 core" if needs.cores == 1 else f"{needs.cores} cores"
    image = f"{duration(needs.image_seconds)} to an image on the CPU"
    found = f"about {duration(needs.seconds)} to compile ({cores}), {image}"
    if needs.seconds <= _LONG_SECONDS:
        return CheckResult("time", "ok", found)
    advice = "Take a machine with more cores, or --rounding nearest, which is less accurate. What is made is kept."
    return CheckResult("time", "warning", found, advice)
