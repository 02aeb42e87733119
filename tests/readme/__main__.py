"""``python -m tests.readme``: write the reference of commands and options into the README."""

from __future__ import annotations

from tests.readme.reference import README, with_reference

if __name__ == "__main__":
    README.write_text(with_reference(README.read_text(encoding="utf-8")), encoding="utf-8")
