"""A report to look at: fixed figures, two prompts, and texts that try to be markup."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from qnn_sd.cli.documents import ErrorDetail, ReportDocument, VerificationReport
from qnn_sd.cli.documents.cost import CompiledCost, ComponentCost, CostDocument, TimeEstimate, Traffic
from qnn_sd.cli.documents.hub_profile import HubMeasurement
from qnn_sd.cli.documents.report import (
    CommandToType,
    ComponentBytes,
    ComponentCalls,
    ComponentRounding,
    ReportedDevice,
    ReportedSoc,
    ReportImages,
    RoundedLayer,
)
from qnn_sd.cli.documents.verify import (
    BuiltStage,
    ComparedForm,
    ImageComparison,
    ImageRequest,
    ReportMachine,
    VerifiedModel,
)
from qnn_sd.config import GuidanceSetting
from qnn_sd.errors import VerificationError
from qnn_sd.report import PromptImages, report_page
from qnn_sd.schemas import ImageSize
from qnn_sd.verification import CallSqnr, ComponentVerification, SettingSqnr, SqnrSummary

NASTY = (
    "a cat</script><script>alert('x')</script> & \"y\" <img src=x onerror=alert(1)> \u202e\x07\ud800 "
    "\U0001f469\u200d\U0001f3a8"
)
FORMS = ("float on the CPU", "QDQ on the CPU", "sm8650 on the emulator")


def sqnr(db: float, difference: float | None = None) -> SqnrSummary:
    return SqnrSummary(all_db=db + 4, worst_db=db, worst_input="text 1", difference_db=difference)


def _calls(db: float) -> list[CallSqnr]:
    setting = GuidanceSetting(guidance=7.5, negative=True)
    other = GuidanceSetting(guidance=15.0, negative=False)
    return [
        CallSqnr(
            label=f"prompt {prompt}, step {step} of 20",
            trajectory=prompt,
            step=step,
            setting=each,
            sqnr=sqnr(db + step / 2, db - 20),
        )
        for prompt, each in enumerate((setting, setting, other))
        for step in (1, 10, 20)
    ]


def verification(refused: VerificationError | None = None) -> VerificationReport:
    setting = SettingSqnr(setting=GuidanceSetting(guidance=7.5, negative=True), sqnr=sqnr(45.0, 30.0))
    components = {
        "text_encoder": ComponentVerification(qdq_against_float=sqnr(57.0), binary_against_qdq=sqnr(62.0)),
        "unet": ComponentVerification(
            qdq_against_float=sqnr(45.0, 30.0),
            settings=(setting,),
            binary_against_qdq=None if refused else sqnr(57.0, 36.0),
        ),
    }
    return VerificationReport(
        made_at="2026-11-26T10:00:00+00:00",
        model=VerifiedModel(
            config="tiny-sd",
            size=ImageSize(width=128, height=128),
            guidance=7.5,
            own_checkpoint=True,
            rounding="adaround",
            encodings_from_file=[],
        ),
        verdict="refused" if refused else "passed with warnings",
        warnings=[] if refused else [f"unet: {NASTY}"],
        soc="sm8650",
        components=components,
        images=None,
        request=None,
        stages=[
            BuiltStage(
                stage="quantize",
                component="unet",
                subject=None,
                seconds=48.1,
                cached=True,
                expected_memory_bytes=4 * 10**8,
            ),
            BuiltStage(
                stage="verify", component="unet", subject=NASTY, seconds=11.2, cached=False, expected_memory_bytes=None
            ),
        ],
        peak_memory_bytes=10**9,
        machine=ReportMachine(system="Linux", machine="x86_64", cores=2, memory_bytes=16 * 10**9),
        versions={"python": "3.11.7", "qnn-sd": "0.1.0", "onnxruntime": "1.27.0", "onnxruntime-qnn": "2.6.0"},
        error=ErrorDetail.of(refused) if refused else None,
    )


def _images() -> list[ReportImages]:
    request = ImageRequest(prompt=NASTY, negative="", steps=20, guidance=7.5, scheduler="dpm++2m", seed=1)
    forms = {
        name: ComparedForm(psnr_db_against_float=57.1 if number else None, seconds=2.0)
        for number, name in enumerate(FORMS)
    }
    return [ReportImages(request=request, images=ImageComparison(forms=forms, left_out=None))]


def _cost() -> CostDocument:
    def cost(ms: float) -> CompiledCost:
        return CompiledCost(
            estimate=TimeEstimate(ms=ms, lower_ms=ms * 0.9, upper_ms=ms * 1.2),
            traffic=Traffic(read_bytes=700_000, written_bytes=300_000, spilled_bytes=100_000, filled_bytes=100_000),
            traffic_bound_bytes=500_000,
            macs=10**8,
            cycles=10**6,
            macs_per_cycle=100.0,
            uncosted_op_count=0,
            optimization_mode=3,
        )

    parts = {
        name: cost(0.05 * number)
        for number, name in enumerate(("conv_in", NASTY.replace("\ud800", ""), "up_blocks.1.resnets.0"), 1)
    }
    unet = ComponentCost(
        graph="quantized",
        folder="CACHE",
        scale=None,
        whole=cost(0.9),
        bound=None,
        parts=parts,
        sum=None,
        uncosted_ops=[],
    )
    return CostDocument(
        model="tiny-sd",
        size=ImageSize(width=128, height=128),
        soc="sm8650",
        compiled_for="qcs9075",
        scaled=True,
        by="block",
        about_estimates="An estimate is the compiler's, no measurement.",
        components={"unet": unet},
    )


def _measured() -> ReportedDevice:
    """By a stand-in, of a device with a nasty name."""
    unet = HubMeasurement(
        median_ms=1.5,
        best_ms=1.25,
        ai_hub_ms=1.25,
        calls=3,
        first_load_ms=20.0,
        warm_load_ms=None,
        peak_memory_bytes=None,
        layers={"NPU": 1200},
        slowest=[],
    )
    return ReportedDevice(
        name=NASTY,
        os="15",
        made_at="2026-11-26T12:00:00+00:00",
        stand_in=True,
        image_seconds=None,
        components={"unet": unet},
    )


def document(refused: VerificationError | None = None) -> ReportDocument:
    """Of a build that passed with a warning, or of one that was refused."""
    gains = [1.2, 4.8, 5.1, 26.8, -0.6]
    layers = [
        RoundedLayer(layer=f"layer {number}", op="Conv", gain_db=gain, kept="nearest" if gain < 0 else "adaround")
        for number, gain in enumerate(gains)
    ]
    return ReportDocument(
        file=None,
        verification=verification(refused),
        soc=ReportedSoc(name="sm8650", title="Snapdragon 8 Gen 3", htp_arch=75),
        calls={
            "unet": ComponentCalls(qdq_against_float=_calls(45.0), binary_against_qdq=[] if refused else _calls(57.0))
        },
        graphs={
            "unet": ComponentBytes(
                float_bytes=24_000_000, qdq_bytes=8_500_000, binary_bytes=None if refused else 6_800_000
            )
        },
        rounding={
            "unet": ComponentRounding(
                scheme="W8A16",
                activations=1292,
                parameters=507,
                int8_operands=2,
                int16_operands=0,
                exact_layers=120,
                layers=layers,
            ),
            "text_encoder": ComponentRounding(
                scheme="W8A16",
                activations=130,
                parameters=77,
                int8_operands=None,
                int16_operands=None,
                exact_layers=None,
                layers=[],
            ),
        },
        prompts=[] if refused else _images(),
        cost=None if refused else _cost(),
        measured=[] if refused else [_measured()],
        commands=[CommandToType(does="This report", line=f"qnn-sd report --prompt {NASTY!r}")],
    )


def page(told: ReportDocument) -> str:
    """With a gradient as the float graphs' image, and one that is a little off as the others'."""
    floats = np.indices((64, 96)).sum(axis=0).astype(np.uint8)[..., None].repeat(3, axis=2)
    images = {name: floats + np.uint8(number) for number, name in enumerate(FORMS)}
    content = told.content
    return report_page(content, [PromptImages(images, each["images"], each["request"]) for each in content["prompts"]])


class PageParser(HTMLParser):
    """Reads a page and holds it to be well-formed: every element is closed, in its order.

    Attributes:
        found: every start tag with its attributes.
        data: text of each kind of element.
    """

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.setdefault(self._open[-1] if self._open else "", []).append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.found if name == tag]
