"""The budgets of the house: sizes of files and classes, broad handlers, and words that promise work for later."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
CODE = sorted(path for room in ("gateway", "drivers") for path in (PROJECT / room).rglob("*.py"))
PYTHON = sorted([*CODE, *(PROJECT / "tests").rglob("*.py"), *(PROJECT / "scripts").glob("*.py")])
MOST_LINES = 400
MOST_METHODS = 15
# Assembled, so that this file does not find itself.
PROMISES = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
VAGUE = re.compile(r"(Manager|Handler|Helper)$|^Abstract")


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def is_broad(handler: ast.ExceptHandler) -> bool:
    """True for a bare except, and for Exception or BaseException alone or in a tuple."""
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in types)


def broad_handlers(source: str) -> Iterator[int]:
    """Line numbers of broad handlers, of ``suppress(Exception)`` among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and is_broad(node):
            yield node.lineno
        if (
            isinstance(node, ast.Call)
            and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) == "suppress"
            and any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in node.args)
        ):
            yield node.lineno


def long_classes(tree: ast.Module, most: int = MOST_METHODS) -> list[str]:
    """Classes with more public methods than they may have, as ``name: number``."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = [
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_")
            ]
            if len(methods) > most:
                found.append(f"{node.name}: {len(methods)}")
    return found


def public_without_docstring(tree: ast.Module) -> list[str]:
    """Public functions and classes of a module, and public methods of its public classes, that say nothing."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [
                f"{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
                and not item.name.startswith("_")
                and ast.get_docstring(item) is None
            ]
    return found


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{name_of(path)} has {lines} lines; {MOST_LINES} are allowed: split it by what it owns"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_module_says_what_it_owns_and_classes_are_small(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), f"{name_of(path)} has no module docstring"
    assert long_classes(tree) == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_public_names_are_documented_and_say_what_they_are(path: Path) -> None:
    tree = tree_of(path)
    assert public_without_docstring(tree) == []
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if VAGUE.search(name)] == []
    assert path.stem not in {"utils", "helpers", "misc"}


def test_exactly_one_broad_handler() -> None:
    found = [f"{name_of(path)}:{line}" for path in CODE for line in broad_handlers(path.read_text(encoding="utf-8"))]
    assert len(found) == 1, f"one bulkhead only, in gateway/sources: {found}"
    assert found[0].startswith("gateway/sources")


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_promises_for_later(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if PROMISES.search(line)] == []


def test_every_room_stands_in_the_layers() -> None:
    rooms = {
        path.stem for path in (PROJECT / "gateway").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    text = " ".join(settings["tool"]["importlinter"]["contracts"][0]["layers"])
    named = set(re.findall(r"gateway\.(\w+)", text))
    entry = {"__init__", "__main__"}
    assert rooms - entry - named == set(), "a part of gateway/ that import-linter does not hold in place"


def test_the_daemon_loads_nothing_heavy() -> None:
    heavy = ("sqlite_utils", "rich", "av", "cv2", "numpy", "onnxruntime", "tree_sitter", "paho", "aiomqtt")
    code = "import sys, gateway.daemon; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    ).stdout
    assert "gateway.store" in loaded.split()
    assert sorted(set(heavy) & {name.partition(".")[0] for name in loaded.split()}) == []


def test_the_finders_find() -> None:
    assert list(broad_handlers("try:\n    pass\nexcept Exception:\n    pass")) == [3]
    assert list(broad_handlers("try:\n    pass\nexcept (OSError, BaseException):\n    pass")) == [3]
    assert list(broad_handlers("try:\n    pass\nexcept:\n    pass")) == [3]
    assert list(broad_handlers("with contextlib.suppress(Exception):\n    pass")) == [1]
    assert list(broad_handlers("try:\n    pass\nexcept OSError:\n    pass")) == []
    assert long_classes(
        ast.parse("class A:\n    def a(self): ...\n    def b(self): ...\n    def _c(self): ..."), 1
    ) == ["A: 2"]
    assert public_without_docstring(ast.parse("def a(): ...\nclass B:\n    '''x'''\n    def c(self): ...")) == [
        "a",
        "B.c",
    ]
    assert PROMISES.search("# TO" + "DO: later")
