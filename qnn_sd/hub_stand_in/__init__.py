"""A stand-in for Qualcomm AI Hub on loopback: for tests, and to try everything without an account.

It speaks the wire protocol of the unmodified ``qai_hub`` package, which is pointed at it by a ``client.ini``. Its jobs
really run: models are compiled with the local compiler, and run on the HTP emulator. Times in its profiles are made by
a rule, and every device that it lists has the attribute ``qnn-sd:stand-in``.

In a test::

    with StandIn(tmp_path, faults=Faults(noises=(Noise("unet", 30.0),))) as hub:
        monkeypatch.setenv("QAIHUB_CLIENT_INI", str(hub.client_ini))
        ...
        assert hub.counts.jobs["profile"] == 3
        hub.set_faults(Faults())

``hub.url`` is its address, ``hub.client_ini`` the file that the client reads, ``hub.counts`` what was asked of it
(``Counts``), and ``hub.set_faults`` says what it does wrong from now on (``Faults``). A second ``StandIn`` in the same
folder has the same token, port, models, datasets and jobs. Other packages import these names only, never a module of
this package.
"""

from qnn_sd.hub_stand_in.counts import Counts
from qnn_sd.hub_stand_in.devices import STAND_IN_ATTRIBUTE
from qnn_sd.hub_stand_in.fault_words import parse_faults
from qnn_sd.hub_stand_in.faults import Faults, JobFailure, Noise, Slow, StatusFault, Stuck, Weakened, WrongModel
from qnn_sd.hub_stand_in.stand_in import StandIn

__all__ = [
    "STAND_IN_ATTRIBUTE",
    "Counts",
    "Faults",
    "JobFailure",
    "Noise",
    "Slow",
    "StandIn",
    "StatusFault",
    "Stuck",
    "Weakened",
    "WrongModel",
    "parse_faults",
]
