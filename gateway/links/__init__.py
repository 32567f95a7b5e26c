"""Byte pipes: serial lines, TCP connections and UDP; one owner per line, whatever protocols share it."""

from gateway.links.line import Line

__all__ = ["Line"]
