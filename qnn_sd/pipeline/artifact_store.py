"""Makes artifacts or takes them from the cache, and keeps account of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from qnn_sd import __version__, artifact, resources
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.artifact_manifest import Work
from qnn_sd.console import Console
from qnn_sd.in_words import clock, duration
from qnn_sd.pipeline.expected_build import ExpectedBuild
from qnn_sd.pipeline.side_by_side import workers_for

# Fills a folder and returns metadata for the manifest.
Build = Callable[[Path], Mapping[str, Any]]
# Of what takes less, the time is no news.
_WORTH_SAYING_SECONDS = 0.5


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
        folder: of its artifact.
        work: what there was to do; None where nobody said.
    """

    stage: str
    component: str
    name: str
    seconds: float
    cached: bool
    folder: Path
    work: Work | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PlannedStage:
    """What a dry run knows of one stage for one component.

    Attributes:
        stage: its name.
        component: which one, or a word for the whole model.
        name: of its recipe, ``<model>[.<component>][.<subject>]``.
        cached: whether it is there already.
        work: what there is to do.
        last_seconds: how long the same work took here the last time, on as many cores; None if it wasn't done.
    """

    stage: str
    component: str
    name: str
    cached: bool
    work: Work
    last_seconds: float | None


@dataclass(frozen=True)
class ParallelBuild:
    """One of several artifacts that are made side by side.

    Attributes:
        recipe: what to make.
        build: makes it; called in a thread.
    """

    recipe: Recipe
    build: Build


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
        self.cache, self._console, self._dry_run = cache, console, dry_run
        self.reports: list[StageReport] = []
        self.plan: list[PlannedStage] = []
        self._made: dict[str, Artifact] = {}
        # What the build is expected to take; without a plan nothing is.
        self.expected = ExpectedBuild()

    def has(self, recipe: Recipe) -> bool:
        """Whether an artifact is in the cache already."""
        return recipe.key in self._made or artifact.artifact_folder(self.cache, recipe).exists()

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
        if artifact.artifact_folder(self.cache, recipe).exists():
            return self._keep(recipe, component, self._opened(recipe, build, resumable))
        with self._running(f"{recipe.stage:<9} {recipe.name}", {component: recipe}, said=True) as made:
            made[component] = artifact.load_or_build(self.cache, recipe, build, resumable, self._console.say)
        return self._keep(recipe, component, made[component])

    def _opened(self, recipe: Recipe, build: Build, resumable: bool) -> Artifact:
        """A cached artifact; hashing its gigabytes takes seconds."""
        place = artifact.artifact_folder(self.cache, recipe)
        total = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        with self._console.reading(f"checking {recipe.stage} {recipe.name}", total) as on_bytes:
            return artifact.load_or_build(self.cache, recipe, build, resumable, self._console.say, on_bytes)

    @contextmanager
    def _running(self, title: str, recipes: Mapping[str, Recipe], said: bool) -> Iterator[dict[str, Artifact]]:
        """Shows stages that are being made, and keeps account of them; the block fills in what it made.

        Args:
            title: of the row.
            recipes: what is made, by component.
            said: whether a log gets the title too.
        """
        expected, console = self.expected, self._console
        running = [(recipe.stage, recipe.name) for recipe in recipes.values()]
        place, started = expected.place(running), time.monotonic()
        seconds = expected.expected(running)
        about = f"about {duration(seconds)}; " if seconds >= _WORTH_SAYING_SECONDS else ""
        left = f"{duration(expected.left(running))} left of all; so far {expected.usage()}"
        told = f"{place}, {about}{left}" if place else ""
        # Where rows move, they say it.
        if not console.shows_rows and (said or told):
            console.say(f"{title} ({told})" if told else title)
        elif said and not place:
            console.say(title)
        made: dict[str, Artifact] = {}

        def state(_elapsed: float) -> str:
            return f"{duration(expected.left(running, started))} left, {expected.usage()}"

        of = f" of about {duration(seconds)}" if seconds >= _WORTH_SAYING_SECONDS else ""
        with expected.memory.watched(), ExitStack() as rows:
            if place:
                rows.enter_context(console.working(place, lambda _: expected.share(running, started), state))
            share = (lambda took: took / seconds) if seconds else None
            rows.enter_context(console.working(" ".join(title.split()), share, lambda took: clock(took) + of))
            yield made
        expected.done(running, time.monotonic() - started, [each.folder for each in made.values()])

    def get_or_build_in_parallel(
        self, builds: Mapping[str, ParallelBuild], title: str, cancel: Callable[[], None]
    ) -> dict[str, Artifact]:
        """Several artifacts of one stage by component, made at the same time: as many as cores and memory allow.

        If one fails or Ctrl-C comes, the others end too.

        Args:
            builds: by component.
            title: of the progress bar.
            cancel: ends the builds that run; theirs is an error then.
        """
        ahead = {name: each for name, each in builds.items() if not self.has(each.recipe)}
        if ahead and not self._dry_run:
            for name, made in self._in_parallel(ahead, title, cancel).items():
                self._keep(builds[name].recipe, name, made)
        return {name: self.get_or_build(each.recipe, name, each.build) for name, each in builds.items()}

    def _in_parallel(
        self, ahead: Mapping[str, ParallelBuild], title: str, cancel: Callable[[], None]
    ) -> dict[str, Artifact]:
        recipes = {name: each.recipe for name, each in ahead.items()}
        title = f"{title}: {', '.join(ahead)}"
        with (
            self._running(title, recipes, said=False) as made,
            self._console.progress(title, len(ahead)) as bar,
            ThreadPoolExecutor(workers_for(recipes.values())) as pool,
        ):
            try:
                started = {
                    name: pool.submit(artifact.load_or_build, self.cache, each.recipe, each.build)
                    for name, each in ahead.items()
                }
                for ended in as_completed(started.values()):
                    ended.result()
                    bar.advance()
            except BaseException:
                cancel()
                # Those that wait for a thread are never begun.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            made |= {name: ended.result() for name, ended in started.items()}
        return made

    def _planned(self, recipe: Recipe, component: str) -> Artifact:
        place = artifact.artifact_folder(self.cache, recipe)
        cached = place.exists()
        # One that a build would refuse is no part of a plan. Its files are not read: that takes long. What a
        # verification measured is part of the bundle's recipe.
        made = artifact.load(place, recipe, hashes=False) if cached else Artifact(place, recipe.key)
        assert recipe.work is not None, "every stage says what it has to do"
        seconds = artifact.last_seconds(self.cache, recipe)
        self.plan.append(PlannedStage(recipe.stage, component, recipe.name, cached, recipe.work, seconds))
        self._made[recipe.key] = made
        return made

    def _keep(self, recipe: Recipe, component: str, made: Artifact) -> Artifact:
        self._made[recipe.key] = made
        self._console.kept.stages += 1
        self.reports.append(
            StageReport(
                recipe.stage, component, recipe.name, made.seconds, made.cached, made.folder, recipe.work, made.metadata
            )
        )
        return made
