"""qnn-sd: Stable Diffusion on a Snapdragon's NPU, verified before it reaches the phone."""

__version__ = "0.1.0"
