"""A folder's ``scheduler_config.json`` as diffusers' pipeline of Stable Diffusion reads it.

That pipeline sets two settings itself, whatever the file says: steps stand one training step later
(``steps_offset`` 1), and the clean latent isn't clipped (``clip_sample`` false): Stable Diffusion's go beyond -1 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_OF_PIPELINES: Mapping[str, Any] = {"steps_offset": 1, "clip_sample": False}
# By scheduler, what it takes where the file says nothing, and the pipeline doesn't.
_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "DDIMScheduler": ("steps_offset", "clip_sample"),
    "PNDMScheduler": ("steps_offset",),
}
_NOISE = ("beta_start", "beta_end", "beta_schedule")


def as_the_pipeline_reads(config: Mapping[str, Any], say: Callable[[str], None]) -> Mapping[str, Any]:
    """A config with what diffusers' pipeline makes of it.

    Args:
        config: of a folder; empty if it has none.
        say: is told what is read otherwise than it is written, and what is missing.
    """
    if not config:
        return config
    changed = {key: value for key, value in _OF_PIPELINES.items() if key in config and config[key] != value}
    # A clipping that is null is none.
    if not config.get("clip_sample"):
        changed.pop("clip_sample", None)
    said = dict(changed)
    if config.get("timestep_spacing", "leading") != "leading" or config.get("_class_name") == "LCMScheduler":
        said.pop("steps_offset", None)  # no other spacing reads it, nor does lcm
    if said:
        read = ", ".join(f"{key} {config[key]!r} as {value!r}" for key, value in said.items())
        say(f"of scheduler_config.json, {read}, as diffusers' pipeline of Stable Diffusion reads it")
    name = config.get("_class_name")
    silent = _DEFAULTS.get(name, ()) if isinstance(name, str) else ()
    missing = [key for key in _NOISE if key not in config] if config.get("trained_betas") is None else []
    if missing:
        say(
            f"scheduler_config.json ({name or 'of no scheduler'}) lacks {', '.join(missing)}: Stable Diffusion's are "
            "taken (0.00085 to 0.012, scaled_linear); a model trained otherwise comes out wrong"
        )
    return {**config, **{key: _OF_PIPELINES[key] for key in silent if key not in config}, **changed}
