"""A bundle on a phone: the worker's life, and the ``Runner`` over it."""
