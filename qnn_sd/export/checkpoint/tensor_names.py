"""How remarks and errors name tensors."""

from __future__ import annotations

from collections.abc import Collection

_NAMED = 3


def first_names(names: Collection[str]) -> str:
    """How many tensors, and what the first ones are called: ``2 tensors (a, b)``."""
    shown = sorted(names)[:_NAMED]
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''} ({', '.join(shown)}{more})"
