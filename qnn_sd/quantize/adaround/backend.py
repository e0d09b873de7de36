"""Where the matrices of rounding are: in numpy on the CPU, or in torch on a GPU where there is one.

The solver's own code is one: it uses only what the two libraries spell alike.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A numpy array or a torch tensor of float32.
Matrix = Any


@dataclass(frozen=True)
class Backend:
    """A library of arrays, and how arrays get there and back.

    Attributes:
        title: for the report.
        library: ``numpy`` or ``torch``.
        put: a numpy array as one of the library's.
        get: one of the library's as a numpy array.
    """

    title: str
    library: Any
    put: Callable[[NDArray[Any]], Matrix]
    get: Callable[[Matrix], NDArray[Any]]


NUMPY = Backend("numpy on the CPU", np, lambda array: array, np.asarray)


def torch_backend(device: str) -> Backend:
    """Torch on one of its devices, such as ``cuda``.

    Raises:
        ImportError: there is no torch.
    """
    import torch  # noqa: PLC0415 (only rounding on a GPU needs it)

    title = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Backend(
        f"torch {torch.__version__} on {title}",
        torch,
        lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(device),
        lambda tensor: np.asarray(tensor.cpu().numpy()),
    )


def best_backend() -> Backend:
    """Torch on a GPU if there are both, else numpy."""
    if importlib.util.find_spec("torch") is None or not _has_nvidia_driver():
        return NUMPY
    import torch  # noqa: PLC0415

    return torch_backend("cuda") if torch.cuda.is_available() else NUMPY


def _has_nvidia_driver() -> bool:
    # Asked before torch is: to import that takes seconds, also where there is no GPU to find.
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
