"""Which QAIRT release a job asks AI Hub for."""

from __future__ import annotations

from qnn_sd.ai_hub.service import HubService
from qnn_sd.errors import HubServiceError
from qnn_sd.toolchain import loads


def qairt_to_ask_for(service: HubService, compiled_with: str) -> str:
    """The QAIRT release that jobs ask for: the binaries' own, or else the next that loads them.

    Args:
        service: the account.
        compiled_with: version that compiled the binaries, such as ``2.50.0``.

    Returns:
        The release; empty where AI Hub lists none.

    Raises:
        HubServiceError: all that AI Hub has are older.
    """
    offered = service.qairt_versions()
    able = [each for each in offered if loads(f"{each}.0", compiled_with)]
    if able or not offered:
        return able[0] if able else ""
    raise HubServiceError(
        f"AI Hub has no QAIRT that loads binaries of {compiled_with}",
        why=f"It has {', '.join(offered)}; an older runtime refuses a newer compiler's binaries.",
        hint="Compile in the cloud, qnn-sd compile --via hub; or install an older set of versions: docs/toolchains.md.",
    )
