"""Prompt → image. The loop knows a ``Runner`` and nothing else of where components run."""

from qnn_sd.generate.prompt_chunks import Tokens
from qnn_sd.generate.text_to_image import Generation, Request, TextToImage, tokenizer_of, tokens_of

__all__ = ["Generation", "Request", "TextToImage", "Tokens", "tokenizer_of", "tokens_of"]
