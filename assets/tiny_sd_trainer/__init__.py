"""Draws captioned pictures, trains the demo checkpoint on them, and checks what it paints."""
