"""Files for people: named safely, written whole or not at all, readable by their owner only."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from campaign.errors import StorageError, UsageError
from campaign.text import text

#: What no file system, shell or browser of an office may see in a name.
_UNSAFE: Final = re.compile(r'[\x00-\x20\x7f-\x9f<>:"/\\|?*&%$`\';\u200b-\u200f\u2028-\u202e\u2066-\u2069]+')
#: File systems allow 255 bytes; the rest is for our suffixes and the temporary name.
_STEM_BYTES_MAX: Final = 160


def file_stem(campaign: str) -> str:
    """The campaign's name as the beginning of a file name, on any system.

    A name that had to be altered gets a short digest, so that two campaigns never share a file.
    """
    stem = _UNSAFE.sub("_", campaign).strip("._- ~")
    stem = stem.encode()[:_STEM_BYTES_MAX].decode(errors="ignore")
    if stem == campaign:
        return stem
    digest = hashlib.blake2b(campaign.encode(), digest_size=4).hexdigest()
    return f"{stem}-{digest}" if stem else f"campaign-{digest}"


def report_path(folder: Path, campaign: str, kind: str) -> Path:
    """Where a campaign's report of one kind (``xlsx``, ``csv`` …) stands in a folder."""
    return folder / f"{file_stem(campaign)}-report.{kind}"


def refuse_existing(paths: Sequence[Path]) -> None:
    """Stop before anything is written.

    Raises:
        UsageError: one of the files is there already.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageError(
                text("{file} is there already", file=str(path)),
                advice=text("Add --force to write over it, or --out with another folder."),
            )


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary file, mode 0600, that becomes ``path`` when the block ends well.

    It has a folder of its own, mode 0700, for whatever its writer needs beside it.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".campaign-report-") as folder:
            temporary = Path(folder, path.name)
            temporary.touch(mode=0o600)
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
    except OSError as error:
        raise StorageError(
            text("{file} could not be written: {why}", file=str(path), why=error.strerror or str(error)),
            advice=text("Make room on the disk or name another folder with --out, then run it again."),
        ) from error


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
