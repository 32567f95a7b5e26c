"""Finds the line of every key of a TOML text."""

import tomllib
from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Keys = tuple[str | int, ...]


def locate(text: str) -> dict[Keys, int]:
    """Map the path of every key and array element to its line, counted from 1.

    A table and an element of an array of tables stand at their head. ``text`` must be valid TOML.
    """
    lines: dict[Keys, int] = {}
    lengths: dict[Keys, int] = {}
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    for node in tree.root_node.named_children:
        if node.type == "pair":
            _pair((), node, lines)
        elif node.type in ("table", "table_array_element"):
            _table(node, lines, lengths)
    return lines


def _table(node: Node, lines: dict[Keys, int], lengths: dict[Keys, int]) -> None:
    head, *rest = node.named_children
    line = node.start_point.row + 1
    parts = list(_parts(head))
    path: Keys = ()
    for number, part in enumerate(parts):
        path += (part,)
        lines.setdefault(path, line)
        last = number == len(parts) - 1
        if last and node.type == "table_array_element":
            lengths[path] = lengths.get(path, 0) + 1
        if path in lengths:
            path += (lengths[path] - 1,)
            lines.setdefault(path, line)
    # A table may have been implied by an earlier, longer head; its own head is where a person looks.
    lines[path] = line
    for child in rest:
        if child.type == "pair":
            _pair(path, child, lines)


def _pair(path: Keys, node: Node, lines: dict[Keys, int]) -> None:
    children = [child for child in node.named_children if child.type != "comment"]
    for part in _parts(children[0]):
        path += (part,)
        lines.setdefault(path, node.start_point.row + 1)
    _value(path, children[-1], lines)


def _value(path: Keys, node: Node, lines: dict[Keys, int]) -> None:
    children = [child for child in node.named_children if child.type != "comment"]
    if node.type == "inline_table":
        for child in children:
            _pair(path, child, lines)
    elif node.type == "array":
        for number, child in enumerate(children):
            lines[(*path, number)] = child.start_point.row + 1
            _value((*path, number), child, lines)


def _parts(node: Node) -> Iterator[str]:
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _parts(child)
    else:
        key = (node.text or b"").decode()
        yield key if node.type == "bare_key" else next(iter(tomllib.loads(f"{key} = 0")))
