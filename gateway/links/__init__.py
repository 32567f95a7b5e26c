"""Byte pipes: serial lines and TCP connections; one owner per line, whatever protocols share it."""

from gateway.links.line import Line

__all__ = ["Line"]
