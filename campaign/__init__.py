"""Pays WeChat cash red packets (现金红包) to the people in a spreadsheet, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaign.api import RedPack

__version__ = "0.1.0"
__all__ = ["RedPack", "__version__"]


def __getattr__(name: str) -> object:
    """`RedPack` when it is asked for, so that importing the package stays cheap."""
    if name == "RedPack":
        from importlib import import_module

        return import_module("campaign.api").RedPack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
