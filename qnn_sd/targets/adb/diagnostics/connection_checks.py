"""Checks from the adb server to the files on the phone."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict

from qnn_sd import qnn_provider, runtime_libraries
from qnn_sd.adb_program import adb_path
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import StagingError
from qnn_sd.targets.adb.client import (
    Adb,
    Phone,
    PhoneInfo,
    choose_phone,
    choose_profile,
    is_virtual,
    phone_info,
    system_properties,
)
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.context import DiagnosticsRequest
from qnn_sd.targets.adb.diagnostics.privacy import Privacy
from qnn_sd.targets.adb.diagnostics.soc_manufacturer import manufacturer_finding
from qnn_sd.targets.adb.session.deployment import Layout, lay_out, libraries_for
from qnn_sd.targets.adb.staging import missing_files, stage

# Properties that help to understand a phone, and identify neither it nor its owner.
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
_PLUGIN_VERSION = re.compile(r"onnxruntime-android-qnn:(\d+\.\d+\.\d+)")
_SERIAL_PROPERTIES = ("ro.serialno", "ro.boot.serialno")


class ConnectionChecks:
    """The steps from the adb server to the staged files; each needs the ones before it.

    A step adds to its details and returns the result for people; what it raises is its failure.

    Args:
        build_bundle: builds the bundle for a SoC; also returns whether anything was built, rather than cached.
        request: the phone, and the components that it gets.
        console: shows the progress.
        privacy: gets the phone's names, which the report must not contain.

    Attributes:
        virtual: whether it is a virtual phone; None before ``ask_phone``.
        phone: set by ``find_phone``.
        bundle: set by ``build_bundle``.
        layout: set by ``stage``.
    """

    phone: Phone
    bundle: OpenBundle
    layout: Layout

    def __init__(
        self,
        build_bundle: Callable[[DeviceProfile], tuple[OpenBundle, bool]],
        request: DiagnosticsRequest,
        console: Console,
        privacy: Privacy,
    ) -> None:
        self._build_bundle, self._request, self._console, self._privacy = build_bundle, request, console, privacy
        self._adb: Adb
        self._libraries: runtime_libraries.RuntimeLibraries | None
        self.virtual: bool | None = None
        if request.serial is not None:
            privacy.hide_serial(request.serial)

    def find_adb(self, details: Details) -> str:
        """The adb server, and the adb program."""
        self._adb = Adb()
        details["server"] = f"1.0.{self._adb.version}"
        program = adb_path()
        if program is not None:
            answer = subprocess.run([program, "version"], capture_output=True, text=True, timeout=60, check=False)
            # The third line has the program's path, which may name the user.
            details["program"] = " ".join(answer.stdout.splitlines()[:2])
        return f"server {details['server']}; {details.get('program', 'no program on the path')}"

    def find_phone(self, details: Details) -> str:
        """The phone, among those that adb lists."""
        devices = self._adb.devices()
        for device in devices:
            self._privacy.hide_serial(device.serial)
        details["states"] = [device.state for device in devices]
        self.phone = choose_phone(self._adb, self._request.serial, self._console.say)
        return f"one of {len(devices)} that adb lists" if len(devices) > 1 else "the only one that adb lists"

    def ask_phone(self, details: Details) -> str:
        """Model, Android version, SoC, free space and battery."""
        for serial in system_properties(self.phone, _SERIAL_PROPERTIES).values():
            self._privacy.hide_serial(serial)
        self.virtual = is_virtual(self.phone)
        info, values = phone_info(self.phone), system_properties(self.phone, _PROPERTIES)
        details |= asdict(info)
        details["properties"] = {name: value for name, value in values.items() if value}
        details["kernel"] = self.phone.shell("uname -r").text
        return (
            f"{values['ro.product.manufacturer']} {info.model}, Android {values['ro.build.version.release']} "
            f"(API {info.sdk}), SoC {info.soc or 'unknown'} ({values['ro.board.platform'] or 'platform unknown'}), "
            f"profile {info.profile or 'none'}, {info.free_bytes / 1e9:.1f} GB free, {battery_text(info)}"
        )

    def build_bundle(self, details: Details) -> str:
        """The bundle for its SoC."""
        choice = choose_profile(self.phone, self._request.soc)
        profile = choice.profile
        if choice.remark:
            self._console.warn(choice.remark)
        self.bundle, built = self._build_bundle(profile)
        info = self.bundle.info
        details |= {
            "model": info.model,
            "height": info.height,
            "width": info.width,
            "soc": profile.soc,
            "soc_chosen_by": "the user" if self._request.soc else "the phone",
            # Without the serial number: people send the report.
            "soc_remark": choice.remark.replace(self.phone.serial, "the phone"),
            "dl_mode": profile.dl_mode,
            "htp_arch": profile.htp_arch,
            "built_now": built,
        }
        files = {name: self.bundle.file(name) for name in self._request.components}
        details["qairt"] = {name: runtime_libraries.qairt_version_of(file) for name, file in files.items()}
        dl_mode = "" if profile.dl_mode is None else f"dl_mode {profile.dl_mode}, "
        return (
            f"{info.model}, {info.width}x{info.height}, for {profile.soc} ({dl_mode}HTP "
            f"v{profile.htp_arch}), QAIRT {', '.join(sorted(set(details['qairt'].values())))}, "
            f"{'built now' if built else 'from the cache'}"
        )

    def select_libraries(self, details: Details) -> str:
        """The runtime libraries that load its binaries."""
        self._libraries = libraries_for(self.phone, self.bundle, self._request.components, self._request.cache)
        found = self._manufacturer(details)
        if self._libraries is None:
            return f"the virtual phone's own: this machine's desktop libraries; {found}"
        details |= {"qairt": self._libraries.qairt, "origins": dict(self._libraries.origins)}
        pins = {pin.coordinate: pin for published in runtime_libraries.load_pins().published for pin in published.pins}
        details["hashes"] = {
            origin: runtime_libraries.expected_hash(pins[origin])[1] if origin in pins else "an SDK's, not checked"
            for origin in sorted(set(self._libraries.origins.values()))
        }
        hashes = ", ".join(f"{origin} ({source})" for origin, source in details["hashes"].items())
        return f"QAIRT {self._libraries.qairt}, {len(self._libraries.files)} files; hashes: {hashes}; {found}"

    def _manufacturer(self, details: Details) -> str:
        """What the plugin makes of the phone's maker; warned of where it may offer no device."""
        plugin: str | None = qnn_provider.versions()["onnxruntime-qnn"]
        if self._libraries is not None:
            origins = filter(None, map(_PLUGIN_VERSION.search, self._libraries.origins.values()))
            plugin = next((match[1] for match in origins), None)
        maker = system_properties(self.phone, ("ro.soc.manufacturer",))["ro.soc.manufacturer"]
        text, lacking = manufacturer_finding(maker, plugin)
        details |= {"soc_manufacturer": maker, "plugin": plugin}
        if lacking:
            self._console.warn(f"{text}. Where it offers no NPU, that is why.")
        return text

    def stage(self, details: Details) -> str:
        """The files: sent, not sent a second time, and hashed on the phone."""
        self.layout = lay_out(self.bundle, self._request.components, self._libraries)
        sets = self.layout.sets
        started = time.perf_counter()
        first = stage(self.phone, sets, self._console)
        seconds = time.perf_counter() - started
        second = stage(self.phone, sets, self._console)
        rate = first.sent_bytes / seconds
        details |= {"first": asdict(first), "second": asdict(second), "bytes_per_second": round(rate)}
        if second.sent_bytes:
            raise StagingError(
                "Staged files don't stay on the phone",
                why=f"A second staging sent {second.sent_bytes:,} bytes, and should send none.",
                hint="Find out what else writes to /data/local/tmp, then try again.",
            )
        damaged = [f"{files.kind}/{name}" for files in sets for name in missing_files(self.phone, files)]
        if damaged:
            raise StagingError(
                "Staged files are damaged on the phone",
                why=f"The hashes there of {', '.join(damaged)} are wrong.",
                hint="Type qnn-sd unstage, then try again.",
            )
        sent = f"{first.sent_bytes / 1e6:,.1f} MB sent at {rate / 1e6:,.1f} MB/s" if first.sent_bytes else "0 MB sent"
        return f"{sent}, {first.kept_bytes / 1e6:,.1f} MB were there; a second staging sent 0 bytes; hashes are right"


def battery_text(info: PhoneInfo) -> str:
    """Charge and temperature of a phone's battery, as far as they are known."""
    if info.battery_percent is None:
        return "battery unknown"
    temperature = "" if info.celsius is None else f", {info.celsius:.1f} °C"
    return f"battery {info.battery_percent} %{temperature}"
