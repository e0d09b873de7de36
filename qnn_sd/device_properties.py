"""Android system properties of our own: the virtual phone sets them, the adb target reads them."""

from __future__ import annotations

# "1" on a virtual phone; a real one has no such property.
VIRTUAL_PHONE_PROPERTY = "ro.qnn_sd.virtual"
