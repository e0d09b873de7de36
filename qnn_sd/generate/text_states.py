"""What the UNet is told of a prompt: the text encoder's states of its chunks, weighted, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qnn_sd.errors import SettingError
from qnn_sd.generate.prompt_chunks import Chunk, Tokens

Array = NDArray[np.float32]
# Of the size of the states; a trained encoder has far more.
_LEAST_MEAN = 1e-6


def filled_up(chunks: int, built: int) -> int:
    """To how many chunks a prompt is filled up with empty ones.

    Attention over keys and values that come several times equally often is attention over them alone. So a UNet of n
    chunks serves m of them exactly where m divides n; else they are filled up to the next number that does.

    Args:
        chunks: the prompt's.
        built: chunks that the UNet takes.
    """
    return next(count for count in range(min(chunks, built), built + 1) if built % count == 0)


def encoded_chunks(prompts: Sequence[Tokens], empty: Chunk, built: int) -> set[bytes]:
    """The ids of the chunks that the text encoder is fed of an image's prompts, each once.

    Args:
        prompts: one, or both.
        empty: the chunk that fills up.
        built: chunks that the UNet takes.
    """
    fed = {chunk.ids.tobytes() for each in prompts for chunk in each.chunks[:built]}
    is_filled = any(len(each.chunks) < filled_up(len(each.chunks), built) for each in prompts)
    return fed | ({empty.ids.tobytes()} if is_filled else set())


def text_states(
    chunks: Sequence[Chunk], empty: Chunk, built: int, encode: Callable[[NDArray[np.int32]], Array]
) -> Array:
    """States of a prompt, [1, length x built, D].

    As in AUTOMATIC1111's web UI with its default settings, the other prompt's length changes nothing.

    Args:
        chunks: the prompt's, ``built`` at most.
        empty: the chunk that fills up.
        built: chunks that the UNet takes.
        encode: the text encoder: ids [1, length] to states [1, length, D].

    Raises:
        SettingError: weights that leave no finite states.
    """
    count = filled_up(len(chunks), built)
    filled = [*chunks, *[empty] * (count - len(chunks))]
    states = [weighted(encode(chunk.ids), chunk.weights) for chunk in filled]
    return np.concatenate(states * (built // count), axis=1)


def weighted(states: Array, weights: Array | None) -> Array:
    """States [1, length, D] times their tokens' weights [length], scaled back to the mean that they had.

    As AUTOMATIC1111's web UI does ("original" emphasis).

    Raises:
        SettingError: weights that leave no finite states.
    """
    if weights is None:
        return states
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is named below
        scaled = states * weights[None, :, None]
        before, after = states.mean(dtype=np.float64), scaled.mean(dtype=np.float64)
        # A final norm without a bias, as that of random weights, leaves a mean of rounding errors: no measure.
        has_mean = after and abs(before) > _LEAST_MEAN * np.abs(states).mean()
        result: Array = (scaled * (before / after if has_mean else 1.0)).astype(np.float32)
    if not np.isfinite(result).all():
        raise SettingError(
            "The weights in the prompt are too large",
            why="What the text encoder says of it is no number any more once it is multiplied.",
            hint="Use weights such as (word:1.3); --plain-prompt reads brackets and numbers as text.",
        )
    return result
