"""Documents of the commands that build: ``export``, ``quantize``, ``compile``, and the plan of ``--dry-run``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import Rounding, StrictModel
from qnn_sd.schemas import Document, ImageSize
from qnn_sd.verification import ComponentVerification

EncodingsSource = Literal["measured", "given"]
# Where a component is compiled: by the compiler that is installed, or at Qualcomm AI Hub.
Via = Literal["local", "hub"]


class StageOutput(StrictModel):
    """What a stage made of one component.

    Attributes:
        folder: of its files: in the cache, or the copy that -o asked for.
        bytes: of all its files.
        seconds: how long making it took, now or when it was put into the cache.
        cached: whether it was in the cache already.
    """

    folder: str
    bytes: int
    seconds: float
    cached: bool


class ExportDocument(Document):
    """Float ONNX graphs, as ``qnn-sd export`` writes them.

    Attributes:
        model: name of the model config.
        size: of the image that the graphs are for.
        components: what was exported, by component.
    """

    schema_id: Literal["qnn-sd/export/1"] = Field("qnn-sd/export/1", alias="schema")
    model: str
    size: ImageSize
    components: dict[str, StageOutput]


class RoundedLayers(StrictModel):
    """How the weights of a component's layers were rounded by AdaRound.

    Attributes:
        layers: all layers with weights.
        exact: of them, those whose weights rounding to nearest doesn't change.
        adaround: of the others, those that AdaRound brought closer to the float model.
        nearest: of the others, those that keep rounding to nearest.
        median_gain_db: the median over the layers that aren't exact of what AdaRound gains, in dB; null without any.
    """

    layers: int
    exact: int
    adaround: int
    nearest: int
    median_gain_db: float | None


class QuantizedComponent(StageOutput):
    """A component's QDQ graph.

    Attributes:
        rounding: of the weights.
        rounded_layers: what AdaRound did; null where weights are rounded to nearest.
        encodings: whether activation ranges were measured, or encodings were given.
        encodings_file: the file of given encodings; null where they were measured.
    """

    rounding: Rounding
    rounded_layers: RoundedLayers | None
    encodings: EncodingsSource
    encodings_file: str | None


class QuantizeDocument(Document):
    """QDQ graphs, as ``qnn-sd quantize`` writes them.

    Attributes:
        model: name of the model config.
        size: of the image that the graphs are for.
        components: what was quantized, by component.
    """

    schema_id: Literal["qnn-sd/quantize/1"] = Field("qnn-sd/quantize/1", alias="schema")
    model: str
    size: ImageSize
    components: dict[str, QuantizedComponent]


class BuiltFile(StrictModel):
    """A file of a bundle.

    Attributes:
        file: where it lies: in the cache, or in the copy that -o asked for.
        bytes: its size.
        sha256: of its content.
    """

    file: str
    bytes: int
    sha256: str


class CompiledComponent(StrictModel):
    """A component's context binary.

    Attributes:
        context_binary: what the HTP loads.
        epcontext_model: the ONNX model that names the context binary; ONNX Runtime opens it.
        qdq_model: the QDQ graph for what can't run on the HTP.
        qdq_weights: its weights; null where the graph holds them.
        bytes: of the context binary.
        seconds: how long compiling took, now or when it was put into the cache.
        cached: whether it was in the cache already.
        optimization_mode: level of QNN's ``htp_graph_finalization_optimization_mode`` that was compiled with.
        compiler_crashes: how the compiler crashed at higher levels, highest first.
        int8_operands: how many keys and values of attention have 8 bits in the binary and 16 in the QDQ graph, because
            the SoC's HTP takes no other.
        encodings: whether activation ranges were measured, or encodings were given.
        encodings_file: the file of given encodings; null where they were measured.
        verification: what was measured of it; null with --no-verify.
    """

    context_binary: BuiltFile
    epcontext_model: BuiltFile
    qdq_model: BuiltFile
    qdq_weights: BuiltFile | None
    bytes: int
    seconds: float
    cached: bool
    optimization_mode: int
    compiler_crashes: list[str]
    int8_operands: int
    encodings: EncodingsSource
    encodings_file: str | None
    verification: ComponentVerification | None


class Calibration(StrictModel):
    """What ranges were measured with.

    Attributes:
        file: the prompts; one of the model's own is relative to ``assets/``.
        samples: how many inputs were recorded, by component; null where all encodings were given.
    """

    file: str
    samples: dict[str, int] | None


class CompiledBundle(StrictModel):
    """Context binaries for a SoC, or one file for several.

    Attributes:
        soc: whose binaries they are; of several SoCs that each file serves, ``sm8550+sm8650``.
        dl_mode: of the SoC's device profile; null where it has none, and of several.
        folder: of the bundle: in the cache, or the copy that -o asked for.
        verified: whether the bundle was verified, and its lowest SQNR, in words.
        components: what was compiled, by component.
    """

    soc: str
    dl_mode: int | None
    folder: str
    verified: str
    components: dict[str, CompiledComponent]


class HubJobLink(StrictModel):
    """A job at AI Hub.

    Attributes:
        component: that it worked on.
        kind: ``compile`` or ``link``.
        id: its identifier there.
        url: of its page.
        options: that it was given.
    """

    component: str
    kind: Literal["compile", "link"]
    id: str
    url: str
    options: str


class HubCompile(StrictModel):
    """How AI Hub compiled.

    Attributes:
        compiled_by: Qualcomm AI Hub, or the stand-in for it, in words.
        stand_in: whether it was the stand-in.
        hub_device: name of the device whose SoC was compiled for.
        chipsets: what AI Hub calls its SoC.
        qairt: release of QAIRT that compiled.
        source: what was sent: QDQ graphs, or float graphs with encodings in AIMET's format.
        linked: whether DLCs were made first, and linked.
        jobs: all jobs, by component.
    """

    compiled_by: str
    stand_in: bool
    hub_device: str
    chipsets: list[str]
    qairt: str
    source: Literal["qdq", "aimet"]
    linked: bool
    jobs: list[HubJobLink]


class CompileDocument(Document):
    """Context binaries for a SoC, as ``qnn-sd compile`` makes them.

    Attributes:
        model: name of the model config.
        size: of the image that the binaries are for.
        soc: whose binaries they are; of several SoCs that each file serves (--multi-soc), ``sm8550+sm8650``.
        dl_mode: of the SoC's device profile; null where it has none.
        folder: of the bundle: in the cache, or the copy that -o asked for.
        verified: whether the bundle was verified, and its lowest SQNR, in words.
        via: whether the compiler that is installed made them, or AI Hub.
        hub: how AI Hub did; null where it was here.
        calibration: what ranges were measured with.
        components: what was compiled, by component.
    """

    schema_id: Literal["qnn-sd/compile/1"] = Field("qnn-sd/compile/1", alias="schema")
    model: str
    size: ImageSize
    via: Via
    hub: HubCompile | None
    soc: str
    dl_mode: int | None
    folder: str
    verified: str
    calibration: Calibration
    components: dict[str, CompiledComponent]


class RefusedSoc(StrictModel):
    """A SoC that nothing was compiled for.

    Attributes:
        soc: which one.
        error: why.
    """

    soc: str
    error: ErrorDetail


class CompileSeveralDocument(Document):
    """Context binaries for several SoCs, as ``qnn-sd compile`` makes them where --soc names more than one.

    Attributes:
        model: name of the model config.
        size: of the image that the binaries are for.
        calibration: what ranges were measured with.
        bundles: one for each SoC, in the order of the command line.
        refused: the SoCs that a component doesn't compile for, or doesn't pass a gate for; the command ends with the
            first one's exit code.
    """

    schema_id: Literal["qnn-sd/compile-several/1"] = Field("qnn-sd/compile-several/1", alias="schema")
    model: str
    size: ImageSize
    calibration: Calibration
    bundles: list[CompiledBundle]
    refused: list[RefusedSoc]


class WrittenDlc(StrictModel):
    """A component's DLC.

    Attributes:
        dlc: the file.
        cached: whether it was in the cache already.
        int8_operands: how many keys and values of attention have 8 bits in the DLC and 16 in the QDQ graph, because the
            SoC's HTP takes no other.
    """

    dlc: BuiltFile
    cached: bool
    int8_operands: int


class CompileDlcDocument(Document):
    """DLCs for a SoC, as ``qnn-sd compile --format dlc`` makes them.

    Attributes:
        model: name of the model config.
        size: of the image that the DLCs are for.
        soc: whose HTP they are for.
        folder: of the files: in the cache, or the copy that -o asked for.
        verification: what was verified, a sentence each; those that begin with ``unverified`` say what wasn't.
        components: the DLCs, by component.
    """

    schema_id: Literal["qnn-sd/compile-dlc/1"] = Field("qnn-sd/compile-dlc/1", alias="schema")
    model: str
    size: ImageSize
    soc: str
    folder: str
    verification: list[str]
    components: dict[str, WrittenDlc]


class SharedComponent(StrictModel):
    """A component at several sizes.

    Attributes:
        context_binary: what the HTP loads, for all sizes.
        epcontext_models: the ONNX model of each size, which names its graph in the context binary.
        cached: whether it was in the cache already.
        optimization_mode: level of QNN's ``htp_graph_finalization_optimization_mode`` that was compiled with.
        compiler_crashes: how the compiler crashed at higher levels, highest first.
        int8_operands: how many keys and values of attention, of all sizes, have 8 bits in the binary and 16 in the QDQ
            graphs.
        weight_bytes: of integer constants in the first size's QDQ graph; null where all sizes have the same graph.
        equal_weight_bytes: of them, those that are the same in every size's; null likewise.
        verification: what was measured at each size; null with --no-verify.
    """

    context_binary: BuiltFile
    epcontext_models: dict[str, BuiltFile]
    cached: bool
    optimization_mode: int
    compiler_crashes: list[str]
    int8_operands: int
    weight_bytes: int | None
    equal_weight_bytes: int | None
    verification: dict[str, ComponentVerification] | None


class CompileSizesDocument(Document):
    """Context binaries for several sizes, as ``qnn-sd compile`` makes them where --size is typed more than once.

    Attributes:
        model: name of the model config.
        sizes: of the images that the binaries are for.
        soc: whose binaries they are.
        folder: of the files: in the cache, or the copy that -o asked for.
        verified: whether each size was verified, and its lowest SQNR, in words, by the size's name.
        components: what was compiled, by component.
    """

    schema_id: Literal["qnn-sd/compile-sizes/1"] = Field("qnn-sd/compile-sizes/1", alias="schema")
    model: str
    sizes: list[ImageSize]
    soc: str
    folder: str
    verified: dict[str, str]
    components: dict[str, SharedComponent]


class StageToBuild(StrictModel):
    """One stage of a dry run.

    Attributes:
        stage: its name.
        component: of the model; null where the stage is of the whole model.
        subject: what tells it from other such stages: ``qdq`` or a SoC for verify, a SoC for compile, ``held_out`` or
            ``verification`` for calibrate; null where there is one alone.
        cached: whether its result is in the cache.
        estimated_seconds: what it is expected to take here; null where it is cached.
        memory_bytes: that it is expected to hold at most; null where it is cached.
        disk_bytes: that it is expected to leave; null where it is cached.
        last_seconds: how long the same work took the last time, on as many cores; null where it wasn't done here.
    """

    stage: str
    component: str | None
    subject: str | None
    cached: bool
    estimated_seconds: float | None
    memory_bytes: int | None
    disk_bytes: int | None
    last_seconds: float | None


class PlannedUpload(StrictModel):
    """What would be sent to AI Hub.

    Attributes:
        component: whose graph or context binary; with the SoC where there are several.
        bytes: of its files; null where it isn't built yet.
    """

    component: str
    bytes: int | None


class PlanDocument(Document):
    """The plan that ``--dry-run`` shows.

    Attributes:
        model: name of the model config.
        size: of the image.
        stages: in the order of building.
        known_seconds: sum of ``last_seconds`` over the stages that aren't cached.
        estimated_seconds: what the command is expected to take, images included; the estimate of a stage is what it
            took the last time, where that is known.
        image_seconds: what it is expected to take of it to generate images; null where it generates none, or a phone
            does.
        memory_bytes: that it is expected to hold at most; 0 where there is nothing to do.
        disk_bytes: of disk that it is expected to need; 0 where there is nothing to do.
        cores: that the estimates are for.
        uploads: what would be sent to AI Hub; null for a build that sends nothing.
    """

    schema_id: Literal["qnn-sd/plan/1"] = Field("qnn-sd/plan/1", alias="schema")
    model: str
    size: ImageSize
    stages: list[StageToBuild]
    known_seconds: float
    estimated_seconds: float
    image_seconds: float | None
    memory_bytes: int
    disk_bytes: int
    cores: int
    uploads: list[PlannedUpload] | None
