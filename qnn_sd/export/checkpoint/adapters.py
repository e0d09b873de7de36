"""What is added to a weight W, by kind of adapter; s is the user's scale, α the file's alpha, r the rank.

- LoRA (Hu et al. 2021), LoCon: ``W + s·α/r·up·down``. A convolution's down has its kernel and up is 1x1, or mid has the
  kernel and both are 1x1 (a Tucker decomposition).
- LoHa (Hyeon-Woo et al. 2022): ``W + s·α/r·(w1a·w1b)∘(w2a·w2b)``, also with a Tucker core in each factor.
- LoKr (Yeh et al. 2024): ``W + s·α/r·(w1⊗w2)``, each factor whole or a product; α and r count where one is a product.
- IA3 (Liu et al. 2022): rows or columns of W times learned factors.
- Differences of whole weights, norms and biases: ``W + s·d``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qnn_sd.export.checkpoint.lora_names import Role
from qnn_sd.export.checkpoint.tensors import Array

Shape = tuple[int, ...]
Shapes = Mapping[Role, Shape]
Tensors = Mapping[Role, Array]
# Rows, columns, and the rank that alpha is divided by.
Size = tuple[int, int, int | None]


@dataclass(frozen=True)
class Kind:
    """How an adapter of one kind changes a weight.

    Attributes:
        title: in messages.
        roles: of the tensors that it reads.
        needed: those that must be there, by the ones that tell it.
        size: rows and columns of what it makes, and the rank that alpha is divided by (None for none); None where its
            tensors don't fit each other. Columns are inputs times the kernel's places.
        product: what is added to a weight of the given shape, before alpha and scale.
        of_bias: whether it changes a layer's bias.
        axis: of the weight that a vector of factors is along; None where the kind has none.
    """

    title: str
    roles: tuple[Role, ...]
    needed: Callable[[Shapes], tuple[Role, ...]]
    size: Callable[[Shapes], Size | None]
    product: Callable[[Tensors, Array], Array]
    of_bias: bool = False
    axis: int | None = None

    def fits(self, shapes: Shapes, weight: Shape) -> Size | None:
        """Its size, if what it makes has a weight's shape; else None."""
        size = self.size(shapes)
        if size is None:
            return None
        if self.axis is not None:
            return size if len(weight) > self.axis and size[0] == weight[self.axis] else None
        down = shapes.get(Role.DOWN)
        if down is not None and down[1:2] != weight[1:2]:
            return None
        return size if size[:2] == (weight[0], columns(weight)) else None


def columns(shape: Shape) -> int:
    """Columns of a weight as a matrix: its inputs times its kernel's places."""
    return math.prod(shape[1:])


def _flat(array: Array) -> Array:
    return array.reshape(len(array), -1)


def _tucker(core: Array, rows: Array, cols: Array) -> Array:
    """Σ core[i, j, ...]·rows[i, p]·cols[j, r]: [p, r, ...]."""
    made = np.tensordot(rows.T, core, axes=1)  # [p, j, ...]
    return np.moveaxis(np.tensordot(made, cols, axes=([1], [0])), -1, 1)


def _lora_size(shapes: Shapes) -> Size | None:
    up, down, mid = shapes[Role.UP], shapes[Role.DOWN], shapes.get(Role.MID)
    rank = down[0] if down else 0
    if not rank or len(up) < 2 or len(down) < 2 or columns(up) != (mid[0] if mid else rank):
        return None
    if mid is None:
        return up[0], columns(down), rank
    fits = len(mid) > 2 and mid[1] == rank
    return (up[0], columns(down) * math.prod(mid[2:]), rank) if fits else None


def _lora(tensors: Tensors, _weight: Array) -> Array:
    up, down = _flat(tensors[Role.UP]), _flat(tensors[Role.DOWN])
    if Role.MID in tensors:
        return _tucker(tensors[Role.MID], up.T, down)
    product: Array = up @ down
    return product


_HADA = ((Role.HADA_1A, Role.HADA_1B, Role.HADA_T1), (Role.HADA_2A, Role.HADA_2B, Role.HADA_T2))


def _loha_size(shapes: Shapes) -> Size | None:
    sizes = set()
    for left, right, core in _HADA:
        a, b, t = shapes[left], shapes[right], shapes.get(core)
        if len(a) != 2 or len(b) != 2:
            return None
        if t is None and a[1] == b[0]:
            sizes.add((a[0], b[1]))
        elif t is not None and len(t) > 2 and t[:2] == (a[0], b[0]):
            sizes.add((a[1], b[1] * math.prod(t[2:])))
        else:
            return None
    rank = shapes[Role.HADA_1B][0]
    return (*sizes.pop(), rank) if len(sizes) == 1 and rank else None


def _loha(tensors: Tensors, _weight: Array) -> Array:
    factors = [
        _tucker(tensors[core], tensors[left], tensors[right]) if core in tensors else tensors[left] @ tensors[right]
        for left, right, core in _HADA
    ]
    product: Array = factors[0] * factors[1]
    return product


def _lokr_size(shapes: Shapes) -> Size | None:
    first = _factor_size(shapes, Role.KRON_1, Role.KRON_1A, Role.KRON_1B, None)
    second = _factor_size(shapes, Role.KRON_2, Role.KRON_2A, Role.KRON_2B, Role.KRON_T2)
    if first is None or second is None:
        return None
    rank = first[2] if first[2] is not None else second[2]
    return first[0] * second[0], first[1] * second[1], rank


def _factor_size(shapes: Shapes, whole: Role, left: Role, right: Role, core: Role | None) -> Size | None:
    if whole in shapes:
        shape = shapes[whole]
        return (shape[0], columns(shape), None) if len(shape) > 1 else None
    a, b = shapes[left], shapes[right]
    t = shapes.get(core) if core else None
    if len(a) != 2 or len(b) < 2 or not b[0]:
        return None
    if t is None:
        return (a[0], columns(b), b[0]) if a[1] == b[0] else None
    return (a[1], b[1] * math.prod(t[2:]), b[0]) if len(t) > 2 and t[:2] == (a[0], b[0]) else None


def _lokr(tensors: Tensors, weight: Array) -> Array:
    first = tensors[Role.KRON_1] if Role.KRON_1 in tensors else tensors[Role.KRON_1A] @ tensors[Role.KRON_1B]
    if Role.KRON_2 in tensors:
        second = tensors[Role.KRON_2]
    elif Role.KRON_T2 in tensors:
        second = _tucker(tensors[Role.KRON_T2], tensors[Role.KRON_2A], tensors[Role.KRON_2B])
    else:
        second = tensors[Role.KRON_2A] @ _flat(tensors[Role.KRON_2B])
    first, second = _flat(first), _flat(second)
    product: Array = np.kron(first, second)
    return product.reshape(weight.shape)


def ia3(on_input: bool, of_change: bool, of_bias: bool = False) -> Kind:
    """The kind of learned factors.

    Args:
        on_input: whether they are of columns, and not of rows.
        of_change: whether W times them is added to W (LyCORIS), or they take W's place (peft).
        of_bias: whether a layer's bias is meant, which is one of its rows' numbers.
    """
    role = Role.FACTORS_OF_CHANGE if of_change else Role.FACTORS

    def product(tensors: Tensors, weight: Array) -> Array:
        factors = tensors[role].ravel() - np.float32(not of_change)
        made: Array = weight * factors.reshape([-1 if axis == on_input else 1 for axis in range(weight.ndim)])
        return made

    return Kind("IA3", (role,), _needed(role), _vector_size, product, of_bias, int(on_input))


def _vector_size(shapes: Shapes) -> Size:
    [shape] = shapes.values()
    return math.prod(shape), 0, None


def _difference_size(shapes: Shapes) -> Size | None:
    [shape] = shapes.values()
    return (shape[0], columns(shape), None) if shape else None


def _difference(tensors: Tensors, _weight: Array) -> Array:
    [tensor] = tensors.values()
    return tensor


def _needed(*roles: Role) -> Callable[[Shapes], tuple[Role, ...]]:
    return lambda _shapes: roles


def _lokr_needed(shapes: Shapes) -> tuple[Role, ...]:
    first = (Role.KRON_1,) if Role.KRON_1 in shapes else (Role.KRON_1A, Role.KRON_1B)
    second = (Role.KRON_2,) if Role.KRON_2 in shapes else (Role.KRON_2A, Role.KRON_2B)
    return (*first, *second)


LORA = Kind("LoRA", (Role.DOWN, Role.MID, Role.UP), _needed(Role.DOWN, Role.UP), _lora_size, _lora)
LOHA = Kind(
    "LoHa",
    (Role.HADA_1A, Role.HADA_1B, Role.HADA_2A, Role.HADA_2B, Role.HADA_T1, Role.HADA_T2),
    _needed(Role.HADA_1A, Role.HADA_1B, Role.HADA_2A, Role.HADA_2B),
    _loha_size,
    _loha,
)
LOKR = Kind(
    "LoKr",
    (Role.KRON_1, Role.KRON_1A, Role.KRON_1B, Role.KRON_2, Role.KRON_2A, Role.KRON_2B, Role.KRON_T2),
    _lokr_needed,
    _lokr_size,
    _lokr,
)
DIFFERENCE = Kind("difference", (Role.DIFFERENCE,), _needed(Role.DIFFERENCE), _difference_size, _difference)
BIAS = Kind("difference", (Role.BIAS,), _needed(Role.BIAS), _difference_size, _difference, of_bias=True)
UP_BIAS = Kind("LoRA", (Role.UP_BIAS,), _needed(Role.UP_BIAS), _difference_size, _difference, of_bias=True)
# Those of weights first: a bias is as strong as its weight.
KINDS = (LORA, LOHA, LOKR, DIFFERENCE, BIAS, UP_BIAS)
