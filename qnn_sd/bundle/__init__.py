"""Puts together what is staged to a target: components, tokenizer, and what the loop must know."""

from qnn_sd.bundle.assemble import assemble

__all__ = ["assemble"]
