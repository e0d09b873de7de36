"""What a command has finished, which stays if it ends early."""

from __future__ import annotations

from pathlib import Path


class Kept:
    """An account of what is finished, for the message of a command that fails or is stopped.

    Attributes:
        images: files of images that were saved, in order.
        of_images: how many there are to be.
        stages: how many stages of a build are there.
        of_stages: how many there are to be; None where nobody counted.
        staged_on: the phone on which what was staged stays, or None.
        hub_jobs: how many jobs were submitted to AI Hub and haven't been seen to end.
    """

    def __init__(self) -> None:
        self.images: list[Path] = []
        self.of_images = 0
        self.stages = 0
        self.of_stages: int | None = None
        self.staged_on: str | None = None
        self.hub_jobs = 0

    def build_is_whole(self) -> None:
        """From here on nobody needs to be told that stages are kept."""
        self.stages = 0

    def lines(self) -> list[str]:
        """One phrase for each kind of thing, such as ``2 of 4 images (out-1.png, out-2.png)``."""
        told = []
        if self.stages:
            told.append(f"{self.stages}{'' if self.of_stages is None else f' of {self.of_stages}'} stages")
        if self.images:
            names = ", ".join(map(str, self.images))
            told.append(f"{len(self.images)} of {self.of_images} images ({names})")
        if self.staged_on is not None:
            told.append(f"what was staged on {self.staged_on}")
        if self.hub_jobs:
            jobs, them = ("a job", "it") if self.hub_jobs == 1 else (f"{self.hub_jobs} jobs", "them")
            told.append(f"{jobs} at AI Hub (qnn-sd hub resume goes on with {them})")
        return told
