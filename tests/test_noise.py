"""A seed means the same noise here as in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qnn_sd.generate.noise import TorchNoise


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31 + 5, 2**32 - 1, 2**40 + 7])
def test_noise_is_torchs(seed: int) -> None:
    """The stream too: each draw goes on where the last one ended, whatever their sizes."""
    theirs, ours = torch.Generator("cpu").manual_seed(seed), TorchNoise(seed)
    for shape in [(1, 4, 16, 16), (1, 4, 64, 96), (3,), (17,), (5,), (1, 4, 5, 5), (1, 4, 16, 16), (1,), (2, 8)]:
        expected = torch.randn(shape, generator=theirs).numpy()
        found = ours.normal(shape)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
