"""Names on a phone that the virtual phone and the adb target share."""

from __future__ import annotations

# An Android system property of our own: "1" on a virtual phone; a real one doesn't have it.
VIRTUAL_PHONE_PROPERTY = "ro.qnn_sd.virtual"
# The folder of a phone that the shell user may write to, and that the DSP may read.
LOCAL_TMP = "/data/local/tmp"
