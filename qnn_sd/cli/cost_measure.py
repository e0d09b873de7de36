"""What ``qnn-sd cost`` measures of one graph: the whole, its parts, a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from qnn_sd import qnn_provider
from qnn_sd.cli.cost_graphs import ComponentGraphs
from qnn_sd.cli.cost_scale import Scaling
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.cost import Cost, measure, measure_bound, measure_parts
from qnn_sd.compile.estimate import Estimate
from qnn_sd.console import Console
from qnn_sd.errors import CompileError


@dataclass(frozen=True)
class Measured:
    """A graph's cost, or a part's. Times are the SoC's that was asked for; all else is of the build.

    Attributes:
        estimate: of the time, scaled where it is another SoC's.
        cost: as it was measured.
    """

    estimate: Estimate
    cost: Cost


@dataclass(frozen=True)
class Costs:
    """What was measured of one graph.

    Attributes:
        subject: the graph.
        scaling: whose estimates these are.
        component: by whose published times they are scaled.
        whole: the graph compiled whole; None where only some parts were asked for.
        parts: each part compiled alone, in the graph's order; empty where none was asked for.
        bound: of the whole's time, or None where none was asked for.
        op_types: of the graph's ops, by name.
    """

    subject: ComponentGraphs
    scaling: Scaling
    component: str
    whole: Measured | None
    parts: Mapping[str, Measured]
    bound: Estimate | None
    op_types: Mapping[str, str]

    @property
    def uncosted(self) -> list[str]:
        """Names of the ops without a cost, of the whole or of the parts that were measured."""
        measured = self.parts.values() if self.whole is None else [self.whole]
        return sorted({name for each in measured for name in each.estimate.uncosted})

    def kinds(self, names: Iterable[str]) -> str:
        """Ops in a few words: how many of which type, and what the last part of their names says of them."""
        # What isn't a node of the graph, the compiler made of some: its name is all that is known.
        found = Counter((self.op_types.get(name) or _last_word(name), _last_word(name)) for name in names)
        return ", ".join(
            f"{count} x {kind}{f' ({word})' * (word.lower() not in ('', kind.lower()))}"
            for (kind, word), count in found.most_common()
        )


def measure_costs(
    subject: ComponentGraphs,
    scaling: Scaling,
    component: str,
    console: Console,
    *,
    parts: Sequence[str],
    by_level: bool,
    whole: bool,
    bound: bool,
) -> Costs:
    """Compiles a graph whole, each of its parts alone, and with stand-ins for ops without a cost.

    Args:
        subject: the graph.
        scaling: whose estimate is taken.
        component: by whose published times it is scaled.
        console: where progress is shown.
        parts: names of its blocks or levels to measure.
        by_level: whether they are levels.
        whole: whether the whole graph is measured.
        bound: whether its bound is too.

    Raises:
        CompileError: the compiler refused the graph or a part (named), crashed, or gave no estimate.
    """
    chip, report = scaling.chip, console.warn
    with (
        subject.quantized() as folder,
        console.progress(f"measuring {subject.name}", whole + (whole and bound) + len(parts)) as bar,
    ):

        def taken(cost: Cost) -> Measured:
            return Measured(_scaled(_estimate_of(cost, scaling), scaling.ratio(component)), cost)

        all_of_it = most = None
        if whole:
            with _told(lambda: f"the whole {subject.name}"):
                all_of_it = taken(measure(folder, chip, report=report))
                bar.advance("the whole")
                if bound:
                    found = measure_bound(folder, all_of_it.cost, chip, report=report)
                    assert found is not None, "the whole has an estimate"
                    most = _scaled(found, scaling.ratio(component))
                    bar.advance("the bound")
        measured: dict[str, Measured] = {}

        def keep(name: str, cost: Cost) -> None:
            measured[name] = taken(cost)
            bar.advance(name)

        with _told(lambda: f"{parts[len(measured)]} of {subject.name}"):
            measure_parts(folder, chip, by_level=by_level, only=parts, each=keep, report=report)
        return Costs(subject, scaling, component, all_of_it, measured, most, _op_types(folder))


@contextmanager
def _told(what: Callable[[], str]) -> Iterator[None]:
    """Says of what a failure is: a part's folder, which the compiler names, says nothing and is gone."""
    try:
        yield
    except CompileError as error:
        raise CompileError(f"{error.what}, {what()}", why=error.why, hint=error.hint) from error


def _estimate_of(cost: Cost, scaling: Scaling) -> Estimate:
    if cost.estimate is None:
        installed = ", ".join(f"{name} {number}" for name, number in qnn_provider.versions().items())
        raise CompileError(
            f"The QNN compiler gave no time estimate for {scaling.compiled_for.soc}",
            why=f"Its profile says that there is one; compilers before QAIRT 2.48 have none. Installed: {installed}.",
            hint="Run qnn-sd doctor: it names the sets of versions that were tried.",
        )
    return cost.estimate


def _scaled(estimate: Estimate, ratio: float) -> Estimate:
    """Another SoC's times; cycles stay those of the one that was compiled for."""
    return replace(
        estimate, ms=estimate.ms * ratio, lower_ms=estimate.lower_ms * ratio, upper_ms=estimate.upper_ms * ratio
    )


def _op_types(folder: Path) -> dict[str, str]:
    """Types of ops under all names that the compiler may call them by."""
    ops = QdqGraph(folder).ops
    return {name: node.op_type for node in ops for name in (*node.output, node.name) if name}


def _last_word(name: str) -> str:
    """What the last part of a name says, without numbers: ``inverse`` of ``down_blocks.0.norm1.inverse``."""
    return name.replace("/", ".").rpartition(".")[2].strip("0123456789_")
