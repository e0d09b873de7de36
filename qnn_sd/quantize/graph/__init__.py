"""The float graph as quantization sees it: what each tensor is, and which rule its op follows."""
