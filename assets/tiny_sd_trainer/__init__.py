"""Draws captioned images, trains the demo checkpoint on them, and checks what it generates."""
