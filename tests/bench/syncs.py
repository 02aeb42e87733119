"""``campaign`` with a witness at every fsync: ``python -m tests.bench.syncs FILE DELAY_S ARGUMENT …``.

SQLite reaches the disk through its VFS. The program's own library is asked for its default VFS, and every
file that is opened there gets an ``xSync`` that notes the moment, waits so long as a slower disk would, and
then calls the real one. So what is counted is what SQLite really asks the system for: commits, checkpoints
and all. ``os.fsync`` is watched as well. FILE gets the moments, monotonic seconds, one a line.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_INT: Final = ctypes.c_int
_POINTER: Final = ctypes.c_void_p
_OPEN: Final = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, _POINTER)
_SYNC: Final = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs`` up to ``xOpen`` (sqlite.org/c3ref/vfs.html)."""

    _fields_ = (
        ("version", _INT),
        ("file_size", _INT),
        ("path_max", _INT),
        ("following", _POINTER),
        ("name", ctypes.c_char_p),
        ("app_data", _POINTER),
        ("open", _POINTER),
    )


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods`` (sqlite.org/c3ref/io_methods.html)."""

    _fields_ = (
        ("version", _INT),
        *((name, _POINTER) for name in ("close", "read", "write", "truncate", "sync")),
        ("others", _POINTER * 13),
    )


class _File(ctypes.Structure):
    """``sqlite3_file``: what every VFS's file begins with."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class Witness:
    """Notes every fsync of this process from now on; SQLite keeps pointers to it, so it lives as long."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        """Args: delay_s: how much slower each one is to be.

        Raises:
            RuntimeError: this Python's SQLite cannot be reached.
        """
        self.moments_s: list[float] = []
        self._delay_s = delay_s
        self._kept: list[Any] = []
        self._watched: dict[int, Any] = {}
        library = ctypes.CDLL(_sqlite3.__file__)
        try:
            find = library.sqlite3_vfs_find
        except AttributeError:
            raise RuntimeError("SQLite is hidden inside this Python") from None
        find.restype, find.argtypes = ctypes.POINTER(_Vfs), (ctypes.c_char_p,)
        self._watch_files(find(None).contents)
        self._watch_python()

    def _watch_files(self, vfs: Any) -> None:
        really_open = _OPEN(vfs.open)

        def opened(vfs_at: int, name: int, file: int, flags: int, flags_out: int) -> int:
            code = int(really_open(vfs_at, name, file, flags, flags_out))
            methods = _File.from_address(file).methods
            if methods:
                _File.from_address(file).methods = self._watching(methods)
            return code

        callback = _OPEN(opened)
        self._kept.append(callback)
        vfs.open = ctypes.cast(callback, _POINTER).value

    def _watching(self, methods: Any) -> Any:
        """A copy of a file's methods with our ``xSync``; one for each kind of file."""
        address = ctypes.addressof(methods.contents)
        if address not in self._watched:
            copy = _Methods.from_buffer_copy(methods.contents)
            really_sync = _SYNC(copy.sync)

            def synced(file: int, flags: int) -> int:
                self._note()
                return int(really_sync(file, flags))

            callback = _SYNC(synced)
            self._kept.append(callback)
            copy.sync = ctypes.cast(callback, _POINTER).value
            self._watched[address] = copy
        return ctypes.pointer(self._watched[address])

    def _watch_python(self) -> None:
        def watching(really: Callable[[Any], None]) -> Callable[[Any], None]:
            def sync(file: Any) -> None:
                self._note()
                really(file)

            return sync

        for name in ("fsync", "fdatasync"):
            setattr(os, name, watching(getattr(os, name)))

    def _note(self) -> None:
        self.moments_s.append(time.monotonic())
        if self._delay_s:
            time.sleep(self._delay_s)


def main() -> int:
    file, delay_s, *arguments = sys.argv[1:]
    witness = Witness(delay_s=float(delay_s))
    from campaign.cli import main as campaign

    try:
        return campaign(arguments)
    finally:
        Path(file).write_text("".join(f"{moment_s!r}\n" for moment_s in witness.moments_s))


if __name__ == "__main__":
    sys.exit(main())
