"""What a device's answers say: figures, where they part from the emulator's, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qnn_sd.binaries.loading import emulator_qairt
from qnn_sd.cli.documents import ErrorDetail
from qnn_sd.cli.documents.verify_hub import ComparedComponent, DeviceVerification, SiliconLimit
from qnn_sd.cli.verify_hub_answers import Answers
from qnn_sd.cli.verify_hub_causes import likely_causes, next_steps
from qnn_sd.cli.verify_hub_comparison import OutputsOfAll, compare, parts, silicon_gate
from qnn_sd.cli.verify_hub_options import HubRequest
from qnn_sd.cli.verify_hub_references import ComponentOfBuild
from qnn_sd.cli.verify_hub_targets import HubTarget
from qnn_sd.errors import VerificationError
from qnn_sd.verification import Gate, require_gate


@dataclass(frozen=True)
class Judged:
    """A device's figures, and the refusal that they lead to.

    Attributes:
        verified: what was measured.
        refusal: of the first component that doesn't pass; None where all pass.
    """

    verified: DeviceVerification
    refusal: VerificationError | None


def judge(
    target: HubTarget,
    built: Sequence[ComponentOfBuild],
    answers: Answers,
    request: HubRequest,
    is_stand_in: bool,
    *,
    reported: bool,
) -> Judged:
    """Compares what a device answered, and holds it to the gate.

    Args:
        target: the device.
        built: the components that ran on it.
        answers: what everything answered.
        request: what was typed.
        is_stand_in: whether no device answered.
        reported: whether a report is written.
    """
    device, gate = target.device, silicon_gate(target.profile.htp_arch)
    place = f"{device.name}{' (stand-in)' * is_stand_in}"
    components: dict[str, ComparedComponent] = {}
    refusals: dict[str, VerificationError] = {}
    for each in built:
        references = answers.references[each.soc, each.name]
        job, silicon = answers.silicon[device, each.name]
        outputs = OutputsOfAll(silicon, references.emulator, references.qdq, references.floats)
        try:
            components[each.name] = compare(f"{each.name} on {place}", each.inputs, outputs, job, gate)
        except VerificationError as error:
            refusals[each.name] = error
    causes = likely_causes(components, gate, target.profile.htp_arch, emulator_qairt())
    for name, compared in components.items():
        again = next_steps(request.form, name, reported=reported)
        if refused := _refusal(gate, f"{name} on {place}", compared, causes, again):
            refusals[name] = refused
    refusal = next((refusals[each.name] for each in built if each.name in refusals), None)
    verified = DeviceVerification(
        device=device.name,
        os=device.os,
        stand_in=is_stand_in,
        soc=target.profile.soc,
        htp_arch=target.profile.htp_arch,
        form=request.form,
        limit=SiliconLimit(least_db=gate.least_db, least_difference_db=gate.least_difference_db),
        binary_qairt=built[0].network.qairt,
        emulator_qairt=emulator_qairt(),
        components=components,
        parts_in=next((name for name, each in components.items() if parts(each, name, gate)), None),
        causes=causes,
        error=None if refusal is None else ErrorDetail.of(refusal),
    )
    return Judged(verified, refusal)


def _refusal(
    gate: Gate, label: str, compared: ComparedComponent, causes: Sequence[str], again: str
) -> VerificationError | None:
    emulator = compared.emulator_against_qdq
    suspect = (
        f"With the same inputs the emulator reaches {emulator.text} dB" if emulator else "The emulator wasn't asked"
    )
    if causes:
        suspect = f"{suspect}. May come from: {causes[0]}"
    try:
        require_gate(gate, label, compared.against_qdq, suspect, again)
    except VerificationError as error:
        return error
    return None
