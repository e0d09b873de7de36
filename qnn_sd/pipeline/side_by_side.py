"""How many stages run at the same time: as many as there are cores, and memory for."""

from __future__ import annotations

from collections.abc import Iterable

from qnn_sd.artifact import Recipe
from qnn_sd.estimates import Machine, estimate, how_many_fit
from qnn_sd.host_memory import available_memory
from qnn_sd.resources import usable_cores


def workers_for(recipes: Iterable[Recipe]) -> int:
    """How many stages may run side by side here, by the memory that each is estimated to take.

    Args:
        recipes: what they make.
    """
    cores = len(usable_cores())
    # Its speed changes no memory.
    machine = Machine(cores, 1.0, float(cores))
    free = available_memory()
    try:
        held = [estimate(each.stage, each.work, machine).memory for each in recipes if each.work is not None]
    except KeyError:  # a component that nobody has measured
        return 1
    return how_many_fit(held, cores, None if free is None else free[0])
