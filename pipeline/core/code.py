"""Which code a result depends on: the project's modules that it imports, and libraries' versions. Runs none of it."""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent  # the folder of `pipeline/`, in a checkout and in an installation alike
# These packages only move bytes and messages, so an edit to them changes no result: parameters and content hashes track
# what passes through them.
PLUMBING = ("core", "params", "storage", "registry", "versions")
PAGES = (".html", ".md")  # endings of templates


class Source(NamedTuple):
    """A source file."""

    meaning: str  # its syntax tree, without comments, docstrings and layout
    imported: frozenset[str]  # names anywhere in it, some of them modules


def code_of(*modules: str) -> str:
    """A hash, 64 hexadecimal digits, of the code behind `modules`, such as `pipeline.data.manifest`, and their pages.

    Comments, docstrings and layout do not count, nor does the version of Python. Raises FileNotFoundError for a missing
    module.
    """
    digest = sha256()
    for module, source in sorted(_sources(*modules).items()):
        digest.update(f"{module}\0{_read(source).meaning}\0".encode())
        for page in _pages_of(file_of(module)):
            digest.update(page.name.encode() + b"\0" + page.read_bytes() + b"\0")
    return digest.hexdigest()


def _pages_of(module: Path) -> list[Path]:
    """The templates of the same name beside a module: what it writes follows from them too."""
    return [page for ending in PAGES if (page := module.with_suffix(ending)).is_file()]


def versions_of(*distributions: str) -> dict[str, str]:
    """The installed version of each distribution, by its name on PyPI; empty where it is not installed."""
    return {name: _version(name) for name in distributions}


def modules_behind(*modules: str, plumbing: bool = False) -> set[str]:
    """`modules` and all project modules that they import, directly or not, also inside functions.

    plumbing: whether to follow imports of PLUMBING too.
    """
    return set(_sources(*modules, plumbing=plumbing))


def _sources(*modules: str, plumbing: bool = False) -> dict[str, bytes]:
    """The files of `modules_behind`."""
    found: dict[str, bytes] = {}
    todo = list(modules)
    while todo:
        if (module := todo.pop()) not in found:
            found[module] = file_of(module).read_bytes()
            todo += [name for name in project_imports(found[module]) if plumbing or not is_plumbing(name)]
    return found


def project_imports(source: bytes) -> set[str]:
    """The project's modules that a module with this source imports, anywhere in its file."""
    return {name for name in _read(source).imported if name.startswith("pipeline.") and file_of(name).is_file()}


def is_plumbing(module: str) -> bool:
    """Whether the module only moves bytes and messages (see PLUMBING)."""
    return module.split(".")[1] in PLUMBING


def file_of(module: str) -> Path:
    """The module's source file."""
    return ROOT / f"{module.replace('.', '/')}.py"


@cache
def _read(source: bytes) -> Source:
    tree = ast.parse(source)
    imported = frozenset(_imported(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if ast.get_docstring(node):
                del node.body[0]
    return Source(_spelt(tree), imported)


def _spelt(node: object) -> str:
    """A syntax tree as text. Unlike `ast.dump`, without empty fields: each version of Python has others."""
    if isinstance(node, ast.AST):
        fields = (f"{name}={_spelt(it)}" for name, it in ast.iter_fields(node) if it not in (None, []))
        return f"{type(node).__name__}({','.join(fields)})"
    return f"[{','.join(map(_spelt, node))}]" if isinstance(node, list) else repr(node)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
