"""Who imports whom: the three sides, the package over them, and no circle in any folder.

The rule: whatever lies in one folder, its files and its subfolders, can be written down in an order
in which each imports only what stands after it. For every folder, each import between two modules
anywhere below it is contracted to an import between two of its entries: a subfolder with all that
is below it is one entry, and each loose file, `__init__.py` too, is an entry of its own. The graph
of a folder's entries must have no strongly connected component of more than one.

So packages make no circle at any depth, however long the way round: a circle between two of them is
one between two entries of the folder that holds both. A package and the loose files of its parent
are entries of the same folder: such a file is above the package or below it, never both.

An import counts wherever it stands: inside a function (even if it is late, neither file can be
understood without the other) and under `TYPE_CHECKING` (a type is knowledge of the other file).
Not seen are modules named as text: Flower's components in `pyproject.toml`, and what
`server/simulation/inprocess.py` starts of the sites' side.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "shared": {"shared"},
    "client": {"client", "shared"},
    "server": {"server", "shared"},
    "fedthaw": {"fedthaw", "client", "server", "shared"},
}
INIT = "__init__"

Imports = Mapping[str, frozenset[str]]
"""The modules that each module imports, by dotted name; a package's own file is `a.b.__init__`."""


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Each import in a file, wherever it stands: the module, and the name taken from it or ""."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            yield from ((node.module or "", alias.name) for alias in node.names)


def import_graph(sources: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Which of these modules import which, from their sources by name."""

    def found(module: str, name: str) -> Iterator[str]:
        for wanted in (f"{module}.{name}", f"{module}.{name}.{INIT}", module, f"{module}.{INIT}"):
            if wanted in sources:
                yield wanted
                return

    return {
        one: frozenset(
            target for pair in imported(source) for target in found(*pair) if target != one
        )
        for one, source in sources.items()
    }


def circles(imports: Imports) -> list[str]:
    """Each circle of a folder's entries, in a sentence with the imports that make it."""
    parents = {
        ".".join(parts[:n]) for m in imports for parts in [m.split(".")] for n in range(len(parts))
    }
    return [found for folder in sorted(parents) for found in _circles_in(folder, imports)]


def _circles_in(folder: str, imports: Imports) -> Iterator[str]:
    prefix = f"{folder}." if folder else ""
    below = [module for module in imports if module.startswith(prefix)]
    entries = sorted({_entry(module, prefix) for module in below})
    crossing = [
        (one, other)
        for one in below
        for other in sorted(imports[one])
        if other.startswith(prefix) and _entry(one, prefix) != _entry(other, prefix)
    ]
    matrix = np.zeros((len(entries), len(entries)), dtype=bool)
    for one, other in crossing:
        matrix[entries.index(_entry(one, prefix)), entries.index(_entry(other, prefix))] = True
    _, group = connected_components(csr_array(matrix), directed=True, connection="strong")
    group_of = dict(zip(entries, group.tolist(), strict=True))
    for number in sorted(set(group_of.values())):
        members = [entry for entry in entries if group_of[entry] == number]
        if len(members) > 1:
            inside = [
                f"  {one} imports {other}"
                for one, other in crossing
                if group_of[_entry(one, prefix)] == group_of[_entry(other, prefix)] == number
            ]
            yield "\n".join([f"in {folder or '.'}: {', '.join(members)}", *inside])


def _entry(module: str, prefix: str) -> str:
    return module.removeprefix(prefix).partition(".")[0]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Every module, by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for side in MAY_IMPORT
        for path in sorted((ROOT / side).rglob("*.py"))
    }


def test_no_folder_has_a_circle(sources: Mapping[str, str]) -> None:
    found = circles(import_graph(sources))
    assert not found, "\n".join(found)


def test_both_sides_know_only_what_they_share(sources: Mapping[str, str]) -> None:
    for module, source in sources.items():
        side = module.partition(".")[0]
        tops = {name.partition(".")[0] for name, _ in imported(source)}
        assert tops & set(MAY_IMPORT) <= MAY_IMPORT[side], module
        assert "tests" not in tops, module


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_flower_imports_first_imports_nothing(side: str, sources: Mapping[str, str]) -> None:
    assert list(imported(sources[f"{side}.{INIT}"])) == []


def test_the_whole_graph_is_walked(sources: Mapping[str, str]) -> None:
    graph = import_graph(sources)
    assert {module.partition(".")[0] for module in graph} == set(MAY_IMPORT)
    assert "shared.errors" in graph["client.app"]
    assert "server.app" not in frozenset().union(*graph.values())


def test_imports_are_found_wherever_they_stand() -> None:
    source = (
        "import a.b, c\nfrom d.e import f\nif TYPE_CHECKING:\n  from t import u\n"
        "def g():\n  if 1:\n    from h import i, j\n"
    )
    assert sorted(imported(source)) == [
        ("a.b", ""), ("c", ""), ("d.e", "f"), ("h", "i"), ("h", "j"), ("t", "u")
    ]  # fmt: skip


def test_a_name_is_of_the_module_that_holds_it() -> None:
    sources = {
        "p.__init__": "",
        "p.one": "from p import two\nimport p.three\nfrom p.three import VALUE\nimport json",
        "p.two": "from p import VALUE",
        "p.three": "",
    }
    graph = import_graph(sources)
    assert graph["p.one"] == {"p.two", "p.three"}
    assert graph["p.two"] == {"p.__init__"}


def _graph(*pairs: tuple[str, str]) -> Imports:
    modules: Iterable[str] = {module for pair in pairs for module in pair}
    return {m: frozenset(to for one, to in pairs if one == m) for m in modules}


def test_an_order_is_no_circle() -> None:
    # A loose file above a package, another below it.
    graph = _graph(
        ("p.work", "p.data.read"), ("p.data.read", "p.data.kinds"), ("p.data.read", "p.set")
    )
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("graph", "where"),
    [
        (_graph(("p.a.x", "p.a.y"), ("p.a.y", "p.a.x")), "in p.a: x, y"),
        # No two modules import each other, but their packages do.
        (_graph(("p.a.x", "p.b.x"), ("p.b.y", "p.a.y")), "in p: a, b"),
        # Over three packages, of different depths.
        (_graph(("p.a.q.x", "p.b.x"), ("p.b.y", "p.c"), ("p.c", "p.a.r.y")), "in p: a, b, c"),
        (_graph(("p.a.q.x", "p.a.r.x"), ("p.a.r.s.x", "p.a.q.y")), "in p.a: q, r"),
        # A package and a loose file beside it; a package's own file and one of the others.
        (_graph(("p.a.x", "p.work"), ("p.work", "p.a.y")), "in p: a, work"),
        (_graph(("p.a.__init__", "p.a.x"), ("p.a.x", "p.a.__init__")), "in p.a: __init__, x"),
        (_graph(("p.a.x", "q.a"), ("q.b", "p.b")), "in .: p, q"),
    ],
)  # fmt: skip
def test_a_circle_is_found_at_any_depth(graph: Imports, where: str) -> None:
    (found,) = circles(graph)
    assert found.partition("\n")[0] == where
    assert all(f"  {one} imports {other}" in found for one in graph for other in graph[one])
