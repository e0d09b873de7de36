"""The way to a phone: adb, the phone, what it gets, and how that arrives."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict

from qnn_sd import runtime_libraries
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import StagingError
from qnn_sd.health_checks import adb_path
from qnn_sd.targets.adb.client import (
    Adb,
    Phone,
    PhoneInfo,
    choose_phone,
    is_virtual,
    phone_info,
    profile_of,
    system_properties,
)
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.context import DiagnosticsRequest
from qnn_sd.targets.adb.diagnostics.privacy import Privacy
from qnn_sd.targets.adb.session.deployment import Layout, lay_out, libraries_for
from qnn_sd.targets.adb.staging import missing_files, stage

# What helps to understand a phone, and names neither it nor its owner.
_PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.build.version.security_patch",
    "ro.build.type",
    "ro.build.fingerprint",
    "ro.product.cpu.abi",
    "ro.soc.manufacturer",
    "ro.soc.model",
    "ro.board.platform",
)
_SERIAL_PROPERTIES = ("ro.serialno", "ro.boot.serialno")


class ConnectionChecks:
    """Steps from adb's server to files that lie on the phone; each needs those before it.

    Here as in its neighbours, a step fills in details and returns what was found; what it raises is its failure.

    Args:
        make: makes a bundle for a SoC; tells whether anything had to be built for it.
        subject: the phone, and what it needs.
        console: for progress.
        privacy: is told what the phone is called.

    Attributes:
        virtual: whether it is a virtual phone; None before it was asked.
        phone: set by ``find_phone``.
        bundle: set by ``make_bundle``.
        layout: set by ``stage``.
    """

    phone: Phone
    bundle: OpenBundle
    layout: Layout

    def __init__(
        self,
        make: Callable[[DeviceProfile], tuple[OpenBundle, bool]],
        subject: DiagnosticsRequest,
        console: Console,
        privacy: Privacy,
    ) -> None:
        self._make, self._subject, self._console, self._privacy = make, subject, console, privacy
        self._adb: Adb
        self._libraries: runtime_libraries.RuntimeLibraries | None
        self.virtual: bool | None = None
        if subject.serial is not None:
            privacy.hide_serial(subject.serial)

    def find_adb(self, told: Details) -> str:
        """adb's server, and the program beside it."""
        self._adb = Adb()
        told["server"] = f"1.0.{self._adb.version}"
        program = adb_path()
        if program is not None:
            answer = subprocess.run([program, "version"], capture_output=True, text=True, timeout=60, check=False)
            # The third line of its answer names the program's folder.
            told["program"] = " ".join(answer.stdout.splitlines()[:2])
        return f"server {told['server']}; {told.get('program', 'no program on the path')}"

    def find_phone(self, told: Details) -> str:
        """The phone among those that adb lists."""
        listed = self._adb.devices()
        for each in listed:
            self._privacy.hide_serial(each.serial)
        told["states"] = [each.state for each in listed]
        self.phone = choose_phone(self._adb, self._subject.serial)
        return f"one of {len(listed)} that adb lists" if len(listed) > 1 else "the only one that adb lists"

    def ask_phone(self, told: Details) -> str:
        """What the phone says of itself."""
        for name in system_properties(self.phone, _SERIAL_PROPERTIES).values():
            self._privacy.hide_serial(name)
        self.virtual = is_virtual(self.phone)
        found, said = phone_info(self.phone), system_properties(self.phone, _PROPERTIES)
        told |= asdict(found)
        told["properties"] = {name: value for name, value in said.items() if value}
        told["kernel"] = self.phone.shell("uname -r").text
        return (
            f"{said['ro.product.manufacturer']} {found.model}, Android {said['ro.build.version.release']} "
            f"(API {found.sdk}), SoC {found.soc or 'unknown'} ({said['ro.board.platform'] or 'platform unknown'}), "
            f"profile {found.profile or 'none'}, {found.free_bytes / 1e9:.1f} GB free, {battery_text(found)}"
        )

    def make_bundle(self, told: Details) -> str:
        """The binaries for its SoC."""
        profile = profile_of(self.phone, self._subject.soc)
        self.bundle, built = self._make(profile)
        info = self.bundle.info
        told |= {
            "model": info.model,
            "height": info.height,
            "width": info.width,
            "soc": profile.soc,
            "soc_chosen_by": "the user" if self._subject.soc else "the phone",
            "dl_mode": profile.dl_mode,
            "htp_arch": profile.htp_arch,
            "built_now": built,
        }
        files = {name: self.bundle.file(name) for name in self._subject.components}
        told["qairt"] = {name: runtime_libraries.qairt_version_of(file) for name, file in files.items()}
        return (
            f"{info.model}, {info.width}x{info.height}, for {profile.soc} (dl_mode {profile.dl_mode}, HTP "
            f"v{profile.htp_arch}), QAIRT {', '.join(sorted(set(told['qairt'].values())))}, "
            f"{'built now' if built else 'from the cache'}"
        )

    def pick_libraries(self, told: Details) -> str:
        """The runtime libraries that load them."""
        self._libraries = libraries_for(self.phone, self.bundle, self._subject.components, self._subject.cache)
        if self._libraries is None:
            return "the virtual phone's own: this machine's desktop libraries"
        told |= {"qairt": self._libraries.qairt, "origins": dict(self._libraries.origins)}
        pins = {pin.coordinate: pin for published in runtime_libraries.load_pins().published for pin in published.pins}
        told["hashes"] = {
            origin: runtime_libraries.known_hash(pins[origin])[1] if origin in pins else "an SDK's, not held"
            for origin in sorted(set(self._libraries.origins.values()))
        }
        hashes = ", ".join(f"{origin} ({trust})" for origin, trust in told["hashes"].items())
        return f"QAIRT {self._libraries.qairt}, {len(self._libraries.files)} files; hashes: {hashes}"

    def stage(self, told: Details) -> str:
        """The files sent, sent again, and hashed on the phone."""
        self.layout = lay_out(self.bundle, self._subject.components, self._libraries)
        sets = self.layout.sets
        started = time.perf_counter()
        first = stage(self.phone, sets, self._console)
        seconds = time.perf_counter() - started
        second = stage(self.phone, sets, self._console)
        rate = first.sent_bytes / seconds
        told |= {"first": asdict(first), "second": asdict(second), "bytes_per_second": round(rate)}
        if second.sent_bytes:
            raise StagingError(
                "What was staged doesn't stay on the phone",
                why=f"A second staging sent {second.sent_bytes:,} bytes again, where it should send none.",
                hint="Look at what else writes to /data/local/tmp, then try again.",
            )
        damaged = [f"{files.kind}/{name}" for files in sets for name in missing_files(self.phone, files)]
        if damaged:
            raise StagingError(
                "What is staged is damaged on the phone",
                why=f"The hashes of {', '.join(damaged)} are wrong there.",
                hint="Type qnn-sd unstage, then try again.",
            )
        sent = f"{first.sent_bytes / 1e6:,.1f} MB sent at {rate / 1e6:,.1f} MB/s" if first.sent_bytes else "0 MB sent"
        return f"{sent}, {first.kept_bytes / 1e6:,.1f} MB were there; a second staging sent 0 bytes; hashes are right"


def battery_text(found: PhoneInfo) -> str:
    """Charge and temperature of a phone's battery, as far as they are known."""
    if found.battery_percent is None:
        return "battery unknown"
    heat = "" if found.celsius is None else f", {found.celsius:.1f} °C"
    return f"battery {found.battery_percent} %{heat}"
