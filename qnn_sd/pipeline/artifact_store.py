"""Makes artifacts or takes them from the cache, and keeps account of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from qnn_sd import __version__, artifact, resources
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.console import Console

# Fills a folder and returns metadata for the manifest.
Build = Callable[[Path], Mapping[str, Any]]


@dataclass
class StageReport:
    """What became of one stage for one component.

    Attributes:
        stage: its name.
        component: which one, or a word for the whole model.
        name: of its recipe, ``<model>[.<component>][.<subject>]``.
        seconds: how long it took, now or when it was put into the cache.
        cached: whether it was in the cache already.
        metadata: of its artifact.
    """

    stage: str
    component: str
    name: str
    seconds: float
    cached: bool
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PlannedStage:
    """What a dry run knows of one stage for one component.

    Attributes:
        stage: its name.
        component: which one, or a word for the whole model.
        name: of its recipe, ``<model>[.<component>][.<subject>]``.
        cached: whether it is there already.
        last_seconds: how long the newest such stage took, whatever its settings; None if none was made.
    """

    stage: str
    component: str
    name: str
    cached: bool
    last_seconds: float | None


def tool_versions(code: Sequence[str], *packages: str) -> dict[str, str]:
    """The versions that a stage's result depends on.

    Args:
        code: folders and files of this package, relative to it.
        packages: names of distributions.
    """
    own = f"{__version__} ({resources.code_digest(*code)[:12]})"
    return {"qnn-sd": own, **{name: metadata.version(name) for name in packages}}


class ArtifactStore:
    """The artifacts of one pipeline.

    Args:
        cache: where they stand.
        console: where progress is shown.
        dry_run: whether to find out only which there are (``plan``) and make nothing; artifacts that aren't there
            are returned all the same.

    Attributes:
        reports: what became of each, in the order of asking.
        plan: of a dry run, the same.
    """

    def __init__(self, cache: Path, console: Console, dry_run: bool) -> None:
        self._cache, self._console, self._dry_run = cache, console, dry_run
        self.reports: list[StageReport] = []
        self.plan: list[PlannedStage] = []
        self._made: dict[str, Artifact] = {}

    def get_or_build(self, recipe: Recipe, component: str, build: Build, resumable: bool = False) -> Artifact:
        """The recipe's artifact, opened and hashed once however often it is asked for.

        Args:
            recipe: what to make.
            component: for the report.
            build: makes it.
            resumable: whether a build that was cut off goes on (``artifact.load_or_build``).
        """
        if recipe.key in self._made:
            return self._made[recipe.key]
        if self._dry_run:
            return self._planned(recipe, component)
        if not artifact.artifact_folder(self._cache, recipe).exists():
            self._console.say(f"{recipe.stage:<9} {recipe.name}")
        return self._keep(
            recipe, component, artifact.load_or_build(self._cache, recipe, build, resumable, self._console.say)
        )

    def get_or_build_in_parallel(
        self,
        recipes: Mapping[str, tuple[Recipe, Build]],
        title: str,
        workers: int,
        cancel: Callable[[], None],
    ) -> dict[str, Artifact]:
        """Several artifacts by component, made at the same time; if one fails or Ctrl-C comes, the others end too.

        Args:
            recipes: what to make, and what makes it: called in threads.
            title: of the progress bar.
            workers: how many at a time.
            cancel: ends the builds that run; theirs is an error then.
        """
        ahead = {
            name: made
            for name, made in recipes.items()
            if made[0].key not in self._made and not artifact.artifact_folder(self._cache, made[0]).exists()
        }
        if ahead and not self._dry_run:
            for name, made in self._in_parallel(ahead, title, workers, cancel).items():
                self._keep(recipes[name][0], name, made)
        return {name: self.get_or_build(recipe, name, build) for name, (recipe, build) in recipes.items()}

    def _in_parallel(
        self,
        ahead: Mapping[str, tuple[Recipe, Build]],
        title: str,
        workers: int,
        cancel: Callable[[], None],
    ) -> dict[str, Artifact]:
        with (
            self._console.progress(f"{title}: {', '.join(ahead)}", len(ahead)) as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            try:
                started = {
                    name: pool.submit(artifact.load_or_build, self._cache, recipe, build)
                    for name, (recipe, build) in ahead.items()
                }
                for ended in as_completed(started.values()):
                    ended.result()
                    bar.advance()
            except BaseException:
                cancel()
                raise
        return {name: ended.result() for name, ended in started.items()}

    def _planned(self, recipe: Recipe, component: str) -> Artifact:
        place = artifact.artifact_folder(self._cache, recipe)
        seconds = artifact.last_seconds(self._cache, recipe)
        self.plan.append(PlannedStage(recipe.stage, component, recipe.name, place.exists(), seconds))
        # What a verification measured is part of the bundle's recipe.
        made = self._made[recipe.key] = Artifact(place, recipe.key, artifact.read_metadata(place))
        return made

    def _keep(self, recipe: Recipe, component: str, made: Artifact) -> Artifact:
        self._made[recipe.key] = made
        self._console.kept.stages += 1
        self.reports.append(StageReport(recipe.stage, component, recipe.name, made.seconds, made.cached, made.metadata))
        return made
