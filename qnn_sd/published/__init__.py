"""Context binaries that Qualcomm has published: found in a release of AI Hub Models, downloaded, checked, adopted.

It stands above the stages, as ``binaries`` does, and only commands import it. ``release.py`` finds the asset for a SoC,
``asset_file.py`` downloads it, ``archive.py`` unpacks it, ``checks.py`` holds its binaries against ``contract.py``,
``wrapper.py`` writes the graph that gives each binary the inputs and outputs of our components, and ``adopt.py`` makes
the bundle.
"""
