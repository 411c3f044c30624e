"""Which code a result depends on: the project's modules that it imports, and libraries' versions. Runs none of it."""

import ast
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent  # the folder of `pipeline/`, in a checkout and in an installation alike
# These packages only move bytes and messages, so an edit to them changes no result: parameters and content hashes track
# what passes through them.
PLUMBING = ("core", "params", "storage", "registry", "versions")


def code_of(*modules: str) -> str:
    """A hash, 64 hexadecimal digits, of the code behind `modules`, such as `pipeline.data.manifest`.

    Comments, docstrings and layout do not count. Raises FileNotFoundError for a missing module.
    """
    digest = sha256()
    for module, tree in sorted(_trees(*modules).items()):
        digest.update(f"{module}\0{ast.dump(_without_docstrings(tree))}\0".encode())
    return digest.hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if ast.get_docstring(node):
                del node.body[0]
    return tree


def versions_of(*distributions: str) -> dict[str, str]:
    """The installed version of each distribution, by its name on PyPI; empty where it is not installed."""
    return {name: _version(name) for name in distributions}


def modules_behind(*modules: str, plumbing: bool = False) -> set[str]:
    """`modules` and all project modules that they import, directly or not, also inside functions.

    plumbing: whether to follow imports of PLUMBING too.
    """
    return set(_trees(*modules, plumbing=plumbing))


def _trees(*modules: str, plumbing: bool = False) -> dict[str, ast.Module]:
    """The syntax trees of `modules_behind`."""
    found: dict[str, ast.Module] = {}
    todo = list(modules)
    while todo:
        if (module := todo.pop()) not in found:
            found[module] = ast.parse(file_of(module).read_bytes())
            todo += [name for name in project_imports(found[module]) if plumbing or not is_plumbing(name)]
    return found


def project_imports(tree: ast.Module) -> set[str]:
    """The project's modules that a module with this syntax tree imports, anywhere in its file."""
    return {name for name in _imported(tree) if name.startswith("pipeline.") and file_of(name).is_file()}


def is_plumbing(module: str) -> bool:
    """Whether the module only moves bytes and messages (see PLUMBING)."""
    return module.split(".")[1] in PLUMBING


def file_of(module: str) -> Path:
    """The module's source file."""
    return ROOT / f"{module.replace('.', '/')}.py"


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
