"""Every code that the source of dsv4 gives to a problem, read from its syntax trees.

A code is what a parameter or a field ``code: str`` gets. It has to be readable where it is given: a literal, a choice
of literals, or the code of something else (``found.code``). What is put together from words is listed by who asks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsv4_launch import errors

SOURCES = Path(errors.__file__).parent
ERRORS = {kind.__name__: kind for kind in errors.Dsv4Error.__subclasses__()}
# Attributes that hold the code of something that was made elsewhere.
PASSED_ON = {"code", "default_code", "id", "advisory"}


@dataclass(frozen=True, slots=True)
class Made:
    """A code, its place, and the exit code of the error that it is made for (None: others decide)."""

    code: str
    where: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Taker:
    """A function or class that takes a code: the position of it, and the exit code of the error that it returns."""

    position: int
    exit_code: int | None = None


class Module:
    """One file: what takes a code in it, and the codes that it gives."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.relative_to(SOURCES))
        self.tree = ast.parse(path.read_text("utf-8"))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.takers = dict(_takers(self.tree))

    def imported(self) -> Iterator[tuple[str, str]]:
        """Name and module (as a path from the package) of what is imported from dsv4 itself."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dsv4_launch"):
                path = f"{node.module}".removeprefix("dsv4_launch").lstrip(".").replace(".", "/")
                yield from ((alias.name, f"{path}.py") for alias in node.names)

    def made(self, known: dict[str, Taker]) -> Iterator[Made | str]:
        """Every code that is given to something that takes one; the place, as text, of one that cannot be read."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                yield from (Made(code, self._at(node)) for code in _default(node))
            if isinstance(node, ast.ClassDef):
                yield from (Made(code, self._at(node), exit_code) for code, exit_code in _own(node))
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            taker = Taker(99, _exit_of(name)) if name in ERRORS else known.get(name)
            if taker is None and name != "type":
                taker = Taker(99) if any(k.arg == "code" for k in node.keywords) else None
            given = _given(node, taker) if taker else None
            if given is None:
                continue
            codes = self._read(given)
            if codes is None:
                yield f"{self._at(node)}: {ast.unparse(given)}"
            else:
                yield from (Made(code, self._at(node), self._exit(node, taker)) for code in codes if code)

    def _at(self, node: ast.AST) -> str:
        return f"{self.name}:{node.lineno}"  # type: ignore[attr-defined]

    def _read(self, given: ast.expr) -> list[str] | None:
        """The codes that an expression may be; none for one that was made elsewhere, None for what cannot be read."""
        match given:
            case ast.Constant(value=str(code)):
                return [code]
            case ast.Attribute(attr=attr) if attr in PASSED_ON:
                return []
            case ast.Subscript(slice=ast.Constant(value="code")):
                return []  # of a data file
            case ast.IfExp(body=first, orelse=second) | ast.BoolOp(values=[first, second]):
                return self._all([first, second])
            case ast.Name(id=name):
                return self._assigned(given, name)
        return None

    def _assigned(self, given: ast.expr, name: str) -> list[str] | None:
        scope: ast.AST = given
        while not isinstance(scope, ast.FunctionDef | ast.Module):
            scope = self.parents[scope]
        if isinstance(scope, ast.FunctionDef) and name == "code" and name in {a.arg for a in _arguments(scope)}:
            return []  # who calls it says it
        values = [
            node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
        ]
        return self._all(values) if values else None

    def _all(self, given: list[ast.expr]) -> list[str] | None:
        found = [self._read(one) for one in given]
        return None if None in found else [code for part in found for code in part or ()]

    def _exit(self, node: ast.Call, taker: Taker) -> int | None:
        """Of the error around it, of the error that is handed over with it, or of what is returned."""
        if taker.exit_code is not None:
            return taker.exit_code
        handed = [_exit_of(argument.id) for argument in node.args if isinstance(argument, ast.Name)]
        around: ast.AST = node
        while around in self.parents and not isinstance(around, ast.stmt):
            around = self.parents[around]
            if isinstance(around, ast.Call) and isinstance(around.func, ast.Name):
                handed.append(_exit_of(around.func.id))
        return next((code for code in handed if code is not None), None)


def made_codes() -> tuple[list[Made], list[str]]:
    """Every code that is made, and the places where one cannot be read."""
    modules = {module.name: module for module in map(Module, sorted(SOURCES.rglob("*.py")))}
    found: list[Made] = []
    unread: list[str] = []
    for module in modules.values():
        known = {
            name: modules[path].takers[name]
            for name, path in module.imported()
            if path in modules and name in modules[path].takers
        }
        for one in module.made(known | module.takers):
            (unread if isinstance(one, str) else found).append(one)  # type: ignore[arg-type]
    bare = [Made(kind.default_code, "errors.py", kind.exit_code) for kind in ERRORS.values()]
    return found + bare, unread


def _takers(tree: ast.AST) -> Iterator[tuple[str, Taker]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name not in ERRORS:
            fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
            names = [f.target.id for f in fields if isinstance(f.target, ast.Name)]
            if "code" in names and ast.unparse(fields[names.index("code")].annotation) == "str":
                yield node.name, Taker(names.index("code"))
        elif isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
            for argument in _arguments(node):
                if argument.arg == "code" and argument.annotation and ast.unparse(argument.annotation) == "str":
                    returned = _exit_of(ast.unparse(node.returns)) if node.returns else None
                    yield node.name, Taker(names.index("code") if "code" in names else 99, returned)


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.args, *node.args.kwonlyargs]


def _default(node: ast.FunctionDef) -> list[str]:
    last_first = zip(reversed(node.args.args), reversed(node.args.defaults), strict=False)
    pairs = [*last_first, *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return [
        value.value
        for argument, value in pairs
        if argument.arg == "code" and isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value
    ]


def _own(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """The code of a class of errors, where it has one of its own."""
    exits = [code for base in node.bases if isinstance(base, ast.Name) and (code := _exit_of(base.id)) is not None]
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id="default_code")], value=ast.Constant(value=str(code))):
                yield from ((code, exit_code) for exit_code in exits)


def _given(node: ast.Call, taker: Taker) -> ast.expr | None:
    named = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
    if named is None and len(node.args) > taker.position and not any(isinstance(a, ast.Starred) for a in node.args):
        return node.args[taker.position]
    return named


def _exit_of(name: str) -> int | None:
    return getattr(ERRORS.get(name), "exit_code", None)
