"""Linli, the edge gateway of a residential community."""

__version__ = "0.1.0"
