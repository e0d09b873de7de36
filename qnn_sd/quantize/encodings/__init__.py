"""How each tensor is stored: encodings chosen from ranges or read from a file, and AIMET's format."""

from qnn_sd.quantize.encodings.aimet_format import read as read_encodings
from qnn_sd.quantize.encodings.aimet_format import write_1_0_0, write_2_0_0
from qnn_sd.quantize.encodings.attention_operands import with_int8_operands
from qnn_sd.quantize.encodings.encoding import Encoding, Encodings, Integers
from qnn_sd.quantize.encodings.from_file import encodings_from_file
from qnn_sd.quantize.encodings.from_ranges import encodings_from_ranges
from qnn_sd.quantize.encodings.scheme import DEFAULT_SCHEME, QuantizationScheme, scheme_label

__all__ = [
    "DEFAULT_SCHEME",
    "Encoding",
    "Encodings",
    "Integers",
    "QuantizationScheme",
    "encodings_from_file",
    "encodings_from_ranges",
    "read_encodings",
    "scheme_label",
    "with_int8_operands",
    "write_1_0_0",
    "write_2_0_0",
]
