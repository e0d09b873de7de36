"""Prompt → image. The loop knows a ``Runner`` and nothing else of where components run."""

from qnn_sd.generate.text_to_image import Generation, Request, TextToImage, tokenizer_of
from qnn_sd.generate.tokenizer import Tokens

__all__ = ["Generation", "Request", "TextToImage", "Tokens", "tokenizer_of"]
