"""Pays WeChat cash red packets (现金红包) to the people in a spreadsheet, once each."""

__version__ = "0.1.0"
