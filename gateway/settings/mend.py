"""Reads a file as it was probably meant, so that a key that nobody knows hides no other mistake."""

from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from gateway.settings.document import Document, Keys
from gateway.settings.explain import SECRETS, names_at
from gateway.settings.nearest import nearest


def mended(document: Document, model: type[BaseModel], unknown: list[Keys]) -> Document:
    """Return the document with each unknown key under the name that was probably meant, or without it."""
    data = deepcopy(document.data)
    aliases = dict(document.aliases)
    for keys in unknown:
        table: Any = data
        for key in keys[:-1]:
            table = table[key]
        written = str(keys[-1])
        value = table.pop(written)
        meant = nearest(written, names_at(model, keys[:-1]))
        if meant is not None and meant not in table and not _secret(written, meant):
            table[meant] = value
            aliases[*keys[:-1], meant] = document.written(keys)
    return Document(document.path, document.text, data, aliases)


def _secret(written: str, meant: str) -> bool:
    """Whether the value may be a secret, which no message about a file's name must show."""
    return written.lower() in SECRETS or (meant.endswith("_file") and not written.lower().endswith("file"))
