"""The Android side of the virtual phone: file system, processes, system properties, and Java for the worker."""
