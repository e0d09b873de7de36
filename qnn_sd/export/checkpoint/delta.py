"""What one adapter makes of one weight, when that is read.

DoRA (Liu et al. 2024) is on top of a kind: ``W + s·(m·W'/‖W'‖ - W)``, where W' is what the kind makes at s = 1, and the
norm is that of rows or columns, as m's shape says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint.adapters import Kind
from qnn_sd.export.checkpoint.lora_names import Role
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.tensors import Array

# So that no column of zeros divides by zero; as LyCORIS has it.
_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Delta:
    """What one adapter makes of one weight.

    Attributes:
        file: the adapter's.
        kind: of the adapter.
        names: of its tensors there, by role.
        scale: the user's.
        alpha: of the adapter's module.
        rank: that alpha is divided by; its root where the adapter is rank-stabilized.
        magnitude: the tensor with DoRA's lengths, and whether they are of rows; None for none.
    """

    file: SafetensorsFile
    kind: Kind
    names: Mapping[Role, str]
    scale: float
    alpha: float = 1.0
    rank: float = 1.0
    magnitude: tuple[str, bool] | None = None

    def added_to(self, weight: Array) -> Array:
        """The weight [out, in, ...], or a vector, with the adapter merged.

        Raises:
            CheckpointError: the adapter's tensors or the merged weight aren't finite.
        """
        tensors = {role: self.file.read(name) for role, name in self.names.items()}
        factor = (1.0 if self.magnitude else self.scale) * self.alpha / self.rank
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is named below
            product = self.kind.product(tensors, weight)
            # What is read is a view of the file.
            changed: Array = (product * np.float32(factor)).reshape(weight.shape)
            changed += weight
            if self.magnitude:
                changed = weight + np.float32(self.scale) * (self._of_magnitude(changed) - weight)
        if not np.isfinite(changed).all():
            name = list(self.names.values())[-1]
            raise CheckpointError(
                f"{name} in {self.file.path} leaves no finite weight",
                why=f"Its factor was {self.scale * self.alpha / self.rank:g} (scale times alpha / rank).",
                hint="Give a smaller scale after the path, such as :0.5.",
            )
        return changed

    def _of_magnitude(self, changed: Array) -> Array:
        """A weight whose rows or columns have the learned lengths."""
        assert self.magnitude is not None, "only DoRA has one"
        name, of_rows = self.magnitude
        axes = tuple(axis for axis in range(changed.ndim) if axis != (0 if of_rows else 1))
        lengths = np.sqrt(np.square(changed).sum(axes, keepdims=True)) + np.float32(_EPSILON)
        learned = self.file.read(name).reshape(lengths.shape)
        scaled: Array = changed * (learned / lengths)
        return scaled
