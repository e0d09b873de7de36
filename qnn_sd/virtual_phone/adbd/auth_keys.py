"""The keys that a phone accepts, and the check of a signature (``client/auth.cpp``, ``daemon/auth.cpp`` of AOSP's adb).

A phone asks its owner about each new key. The virtual phone has no screen: it accepts the adb keys of the user who
started it, and no others.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1

from qnn_sd.adb_program import adb_command
from qnn_sd.errors import VirtualPhoneError

# android_pubkey.c of AOSP's libcrypto_utils, an RSA-2048 key: the number of 32-bit words, -1/n mod 2^32, the modulus n,
# R^2 mod n (both 256 bytes, little-endian), the exponent.
_ENCODED_KEY = struct.Struct("<II256s256sI")
_MODULUS_WORDS = 64

TOKEN_BYTES = 20


def decode_public_key(text: str) -> RSAPublicKey:
    """Decodes the content of an ``adbkey.pub``: base64 of Android's encoding, then a name.

    Raises:
        ValueError: it is no such key.
    """
    try:
        encoded = base64.b64decode((text.split() or [""])[0], validate=True)
        words, _, modulus, _, exponent = _ENCODED_KEY.unpack(encoded)
    except (binascii.Error, struct.error) as error:
        raise ValueError(str(error)) from error
    if words != _MODULUS_WORDS:
        raise ValueError(f"{words} words instead of {_MODULUS_WORDS}")
    return RSAPublicNumbers(exponent, int.from_bytes(modulus, "little")).public_key()


def _public_key_files() -> Iterator[Path]:
    """The adb server's public keys: of ``~/.android``, and of ADB_VENDOR_KEYS (files, or folders of them)."""
    yield Path.home() / ".android" / "adbkey.pub"
    for entry in filter(None, os.environ.get("ADB_VENDOR_KEYS", "").split(os.pathsep)):
        path = Path(entry)
        if path.is_dir():
            yield from sorted(path.glob("*.adb_key.pub"))
        else:
            yield path.with_name(path.name + ".pub")


def load_user_keys() -> list[RSAPublicKey]:
    """The public adb keys of the user who runs this process.

    Raises:
        VirtualPhoneError: there is none yet, or one can't be read.
    """
    keys = []
    for path in _public_key_files():
        if not path.is_file():
            continue
        try:
            keys.append(decode_public_key(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise VirtualPhoneError(
                f"{path} can't be read as an adb key",
                why=str(error),
                hint=f"Create it again: {adb_command('pubkey', str(path.with_suffix('')))} > {path}",
            ) from error
    if not keys:
        key = Path.home() / ".android" / "adbkey"
        raise VirtualPhoneError(
            "There is no adb key to accept",
            why=f"A phone accepts no connection without one, and {key}.pub is missing.",
            hint=f"Type {adb_command('keygen', str(key))}; a server that runs already makes none.",
        )
    return keys


def is_signed_by_any(keys: Sequence[RSAPublicKey], token: bytes, signature: bytes) -> bool:
    """Whether one of the keys signed the token.

    adb signs the token's 20 bytes as if they were a SHA-1 digest (PKCS#1 v1.5).
    """
    for key in keys:
        try:
            key.verify(signature, token, PKCS1v15(), Prehashed(SHA1()))
        except InvalidSignature:
            continue
        return True
    return False
