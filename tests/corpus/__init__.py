"""Makers of sample spreadsheets, with the features that real ones have."""
