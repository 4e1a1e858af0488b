"""The seal holds for the file it was made for, and for nothing else."""

from __future__ import annotations

import hashlib

import pytest

from edgekit.shared.errors import DeviceFileError, ExportError
from edgekit.tflite_export import seal

CONTENT = b"before " + seal.BLANK + b" after"


def test_a_sealed_file_is_accepted_and_as_long() -> None:
    sealed = seal.seal(CONTENT)
    seal.check(sealed)
    assert len(sealed) == len(CONTENT)


def test_digest_is_that_of_the_file_with_zeros() -> None:
    digest = hashlib.sha256(CONTENT).hexdigest().encode()
    assert seal.MARKER + digest in seal.seal(CONTENT)


@pytest.mark.parametrize("position", [0, 6, 7 + len(seal.MARKER), len(CONTENT) - 1])
def test_one_changed_byte_breaks_it(position: int) -> None:
    sealed = bytearray(seal.seal(CONTENT))
    sealed[position] ^= 1
    with pytest.raises(DeviceFileError, match="changed after export"):
        seal.check(bytes(sealed))


@pytest.mark.parametrize("length", [len(CONTENT) - 1, 7 + len(seal.MARKER) + 20])
def test_a_cut_file_breaks_it(length: int) -> None:
    with pytest.raises(DeviceFileError, match="cut off"):
        seal.check(seal.seal(CONTENT)[:length])


@pytest.mark.parametrize("content", [b"none", CONTENT + CONTENT, seal.seal(CONTENT)])
def test_only_one_blank_digest_can_be_sealed(content: bytes) -> None:
    with pytest.raises(ExportError, match="expected one blank"):
        seal.seal(content)
