"""The host's end of the worker's protocol."""
