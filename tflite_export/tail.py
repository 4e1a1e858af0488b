"""Files appended to a ``.tflite`` as a zip archive, where Android and MediaPipe look for labels."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from ..shared.errors import DeviceFileError

_DATE = (1980, 1, 1, 0, 0, 0)  # a real date would make two exports of one model differ


def append_files(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return ``content`` followed by a zip archive of ``files``; interpreters ignore what follows.

    Members are stored, not compressed: MediaPipe's reader takes nothing else.
    """
    if not files:
        return content
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system = 3  # Unix, wherever the export ran
            member.external_attr = 0o644 << 16
            archive.writestr(member, files[name])
    return stream.getvalue()


def read_files(content: bytes) -> dict[str, bytes]:
    """Return the appended files by name; none when nothing is appended.

    Raises:
        DeviceFileError: the archive is damaged.
    """
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return {}
    try:
        with zipfile.ZipFile(stream) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DeviceFileError(
            f"Found a damaged zip archive after the model ({error}), expected labels and "
            "vocabularies. Copy the file again from where it was exported."
        ) from error
