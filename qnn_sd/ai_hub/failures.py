"""Why jobs fail: AI Hub's failure types by their numbers, and lines of logs that are known.

The numbers are those of ``JobFailureType`` in the client's protocol. Their ranges: below 10000 possibly the service's
own fault, 10000 to 19999 what was sent, from 20000 on something that passes. Known lines are from public reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_AGAIN = "Run the command again: the job is submitted anew, and models that are there are not uploaded again"


@dataclass(frozen=True)
class Explanation:
    """What a failed job means.

    Attributes:
        why: a sentence.
        hint: what to do, a sentence without the final full stop.
    """

    why: str
    hint: str


# Lines of logs come first: they say more than a number.
_LINES: tuple[tuple[str, Explanation], ...] = (
    (
        r"BQ is not supported",
        Explanation(
            "The chip has no block quantization, and the graph has weights that are quantized in blocks.",
            "Compile with weights per channel",
        ),
    ),
    (
        r"QAIRT quantizer failed with exit code 1\b",
        Explanation(
            "QAIRT's quantizer doesn't take this precision for the chip.",
            "Compile the QDQ graph without --quantize_full_type; qnn-sd devices --known says what the chip computes in",
        ),
    ),
    (
        r"0x0*c26\b|\b3110\b",
        Explanation(
            "QNN's op validation refuses an op (0xc26): the chip has no form of it for these types.",
            "qnn-sd verify --bisect finds the op; qnn-sd devices --known says what the chip computes in",
        ),
    ),
    (
        r"exit code 14\b",
        Explanation(
            "QNN's context binary generator refused the graph (exit code 14).",
            "Look at the log for the op; qnn-sd verify --bisect finds it here",
        ),
    ),
    (
        r"Must use --truncate_64bit_io",
        Explanation(
            "An input or output has 64-bit integers, which the device has none of.",
            "Add --truncate_64bit_io to the options and feed int32, or export int32 ids",
        ),
    ),
    (
        r"QNN graph execute error\. Error code: 6001",
        Explanation(
            "ONNX Runtime couldn't run the graph on the device (6001).",
            "Profile the context binary itself, which has run where this failed",
        ),
    ),
    (
        r"Context binary does not exist",
        Explanation(
            "An EPContext node refers to a binary that wasn't sent with it.",
            "Compile into one partition, with the binary beside the ONNX file",
        ),
    ),
    (
        r"newer context binary on old SDK|Can.t read future blob|0x1388\b",
        Explanation(
            "The binary is from a newer QAIRT than the device's runtime.",
            "Add --qairt_version of the binary's QAIRT to the options, or compile it in the cloud: --via hub",
        ),
    ),
)

_VERSION_CURE = "Add --qairt_version of the binary's QAIRT to the options, or compile it in the cloud: --via hub"
_NUMBERS: dict[int, Explanation] = {
    2: Explanation("AI Hub doesn't say why.", f"Look at the job's page and logs. {_AGAIN}"),
    3: Explanation("AI Hub doesn't support this.", "Look at the job's page for what it names"),
    2001: Explanation("The runtime crashed on the device.", f"{_AGAIN}; if it crashes again, look at the device's log"),
    2002: Explanation("The machine that worked on it has no disk space left.", _AGAIN),
    2003: Explanation("Another job that this one needs has failed.", "Look at that job: qnn-sd hub jobs"),
    2004: Explanation(
        "The cloud's machine ran out of memory while it worked on the model; the device didn't.",
        "Compile here, and upload the context binary; or build a smaller size",
    ),
    2200: Explanation("The device farm reported an error.", _AGAIN),
    3050: Explanation("One of QNN's tools refused the model.", "Look at the log for the line that names it"),
    12000: Explanation(
        "AI Hub's own time limit passed: the job waited for a device, or ran too long. The model isn't at fault.",
        f"{_AGAIN}. Another device of the same chip may be free: qnn-sd hub devices",
    ),
    12001: Explanation(
        "The device ran out of memory.",
        "Build a smaller size or fewer sizes in one binary; a device with more memory may run it",
    ),
    12102: Explanation("AI Hub limits how many jobs run at once.", f"Wait some minutes. {_AGAIN}"),
    13000: Explanation(
        "The inputs don't fit the model.",
        "Compare names, shapes and types with what the binary takes: qnn-sd inspect shows them",
    ),
    13001: Explanation("An option is wrong, or not one of this kind of job.", "Look at the options on the job's page"),
    13002: Explanation(
        "The model's file is damaged or incomplete, such as ONNX without its weights.",
        "qnn-sd inspect checks it here; then upload the folder, not the .onnx alone",
    ),
    13003: Explanation("The model isn't valid.", "qnn-sd inspect says what it is; look at the log for what is wrong"),
    13050: Explanation("The binary's QNN isn't that of the device's runtime.", _VERSION_CURE),
    13051: Explanation("The device's DSP has libraries of another version than the binary needs.", _VERSION_CURE),
    21000: Explanation("One of AI Hub's parts is busy; it passes.", _AGAIN),
}


def explain(failure_type: int, log: str) -> Explanation:
    """What a failed job means.

    Args:
        failure_type: AI Hub's number; 0 where it gives none.
        log: what the service and the job's logs say.
    """
    line = next((known for pattern, known in _LINES if re.search(pattern, log, re.I)), None)
    return line or _NUMBERS.get(failure_type) or _by_range(failure_type)


def _by_range(failure_type: int) -> Explanation:
    if 1000 <= failure_type < 10_000:
        return Explanation(
            "It may be AI Hub's own fault (its numbers from 1000 to 9999).",
            f"{_AGAIN}; if it fails again, report the job's link to AI Hub",
        )
    if 10_000 <= failure_type < 20_000:
        return Explanation(
            "AI Hub finds the fault in what was sent (its numbers from 10000 to 19999).",
            "Look at the log, and check the file with qnn-sd inspect",
        )
    if failure_type >= 20_000:
        return Explanation("AI Hub counts it as something that passes (its numbers from 20000 on).", _AGAIN)
    return Explanation("AI Hub gives no type of failure.", f"Look at the job's page and logs. {_AGAIN}")
