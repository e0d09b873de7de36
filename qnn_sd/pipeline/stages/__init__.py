"""One file a stage: what it needs, what determines its result, and what makes it.

Each names in ``CACHE_KEY_SOURCES`` the package's code that its result depends on: a change there makes its artifacts
anew, also between two versions, while one in the commands leaves hours of work alone.
"""
