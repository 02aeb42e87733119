"""Spreadsheets in, and annotated spreadsheets out."""

from __future__ import annotations

from campaign.sheet.reader import read_sheet
from campaign.sheet.reading import Reading, ReadOptions

__all__ = ["ReadOptions", "Reading", "read_sheet"]
