"""Byte pipes: serial lines, TCP connections, UDP, and what listens; one owner per line, whatever shares it."""

from typing import TYPE_CHECKING

from gateway.links.line import Line

if TYPE_CHECKING:
    from gateway.links.listen import ListenLine  # a site where nobody calls us does not load it

    AnyLine = Line | ListenLine

__all__ = ["Line"]
