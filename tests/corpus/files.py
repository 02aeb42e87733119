"""Writing workbooks so that the same content gives the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from openpyxl import Workbook

MADE_AT = datetime(2026, 2, 1, 9, 0, tzinfo=UTC).replace(tzinfo=None)


def save(book: Workbook, path: Path) -> None:
    """Save with fixed dates, inside the workbook and in the zip around it."""
    book.properties.creator = "campaign"
    book.properties.created = MADE_AT
    buffer = io.BytesIO()
    book.save(buffer)
    path.write_bytes(repacked(buffer.getvalue()))


def repacked(package: bytes, replace: dict[str, bytes] | None = None) -> bytes:
    """The same package with fixed dates, and with some parts replaced or added."""
    parts: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(package)) as old:
        for name in old.namelist():
            parts[name] = old.read(name)
    parts |= replace or {}
    if "docProps/core.xml" in parts:
        parts["docProps/core.xml"] = re.sub(
            rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2026-02-01T09:00:00Z", parts["docProps/core.xml"]
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            info = zipfile.ZipInfo(name, (2026, 2, 1, 9, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            new.writestr(info, data)
    return buffer.getvalue()
