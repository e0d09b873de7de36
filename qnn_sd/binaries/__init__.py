"""Anybody's context binaries: what a file is, what is in it, which network it is, and whether it runs.

Files come from strangers. Nothing here trusts one: QNN's library reads them in a child process, and so does the
emulator run them.
"""
