"""The seal: a file's SHA-256 inside the file, so that damage shows where no manifest is at hand.

The digest covers every byte, zip tail included, with its own 64 characters read as zeros. It is
found by a marker and not by parsing, because nothing in a damaged file may be believed before the
seal holds.

A seal is integrity, not authenticity: who changes a file on purpose can seal it again. Where that
matters, compare the file's SHA-256 with one received over a trusted channel (``manifest.json``, a
signature).
"""

from __future__ import annotations

import hashlib

from ..shared.errors import DeviceFileError, ExportError

ENTRY = "edgekit.digest"
MARKER = b"edgekit.digest.sha256="
_ZEROS = b"0" * 64
BLANK = MARKER + _ZEROS
"""What the metadata entry holds before :func:`seal` fills it in."""


def seal(content: bytes) -> bytes:
    """Return ``content`` with its blank digest filled in; the length does not change.

    Raises:
        ExportError: there is not exactly one blank digest.
    """
    if content.count(BLANK) != 1 or content.count(MARKER) != 1:
        raise ExportError(
            f"Found {content.count(MARKER)} digest markers in the model file, expected one blank "
            "one. Assemble from a file that edgekit has not assembled before."
        )
    return content.replace(BLANK, MARKER + hashlib.sha256(content).hexdigest().encode())


def is_sealed(content: bytes) -> bool:
    """Return whether a seal is present, whether or not it holds."""
    return MARKER in content


def check(content: bytes) -> None:
    """Accept a file whose seal holds.

    Raises:
        DeviceFileError: a byte of the file has changed since it was sealed.
    """
    start = content.find(MARKER) + len(MARKER)
    recorded = content[start : start + 64]
    blank = hashlib.sha256(content[:start])
    blank.update(_ZEROS)
    blank.update(memoryview(content)[start + 64 :])
    if blank.hexdigest().encode() != recorded:
        raise DeviceFileError(
            f"Found content with SHA-256 {blank.hexdigest()[:16]}…, expected "
            f"{recorded[:16].decode('ascii', 'replace')}… as sealed inside the file: it was cut "
            "off or changed after export. Copy it again from where it was exported."
        )
