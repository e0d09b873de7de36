"""Removes staged files from a phone."""

from __future__ import annotations

import shlex

from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.staging.file_set import STAGING_FOLDER
from qnn_sd.targets.adb.staging.staging_errors import require_success

_SECONDS_PER_DAY = 86_400


def unstage(phone: Phone, older_than_days: int) -> list[str]:
    """Removes the sets of files that haven't been used for some time.

    Args:
        phone: which one.
        older_than_days: whole days since the last use; 0 removes everything.

    Returns:
        The removed folders.

    Raises:
        StagingError: the phone can't remove them.
        DeviceError: the connection was lost.
    """
    listing = phone.shell(f"find {STAGING_FOLDER} -mindepth 2 -maxdepth 2 -type d")
    folders = [line for line in listing.text.splitlines() if line.startswith(f"{STAGING_FOLDER}/")]
    if older_than_days:
        limit = int(phone.ask("date +%s")) - _SECONDS_PER_DAY * older_than_days
        times = phone.shell("stat -c '%Y %n' " + " ".join(map(shlex.quote, folders))).text if folders else ""
        folders = [path for time, path in (line.split(" ", 1) for line in times.splitlines()) if int(time) < limit]
    if folders:
        removed = phone.shell("rm -rf " + " ".join(map(shlex.quote, folders)))
        require_success(phone, removed, "remove what was staged")
    return folders
