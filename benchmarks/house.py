"""How the code is laid out: files, their sizes, the widest folders, the largest functions.

    python benchmarks/house.py [FOLDER ...]

A column for each folder, such as a checkout of an earlier commit next to this one. Packages'
`__init__.py` are not counted: they hold a docstring. Lines are all lines, as `wc -l` counts them.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SIDES = ("client", "server", "shared")
SHORT, LONG = 50, 250


@dataclass(frozen=True)
class House:
    """What is counted of one checkout."""

    lines: dict[str, int]
    folders: Counter[str]
    functions: dict[str, int]


def look(root: Path) -> House:
    """Read the three sides below `root`."""
    lines: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in sorted(path for side in SIDES for path in (root / side).rglob("*.py")):
        if path.name == "__init__.py":
            continue
        name, source = str(path.relative_to(root)), path.read_text(encoding="utf-8")
        lines[name] = source.count("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                functions[f"{name}:{node.name}"] = size
    return House(lines, Counter(str(Path(name).parent) for name in lines), functions)


def rows(house: House) -> dict[str, str]:
    """The lines of the table."""
    sizes = list(house.lines.values())
    widest, files = house.folders.most_common(1)[0]
    longest = max(house.lines, key=lambda name: house.lines[name])
    largest = max(house.functions, key=lambda name: house.functions[name])
    return {
        "files": str(len(sizes)),
        "mean lines": f"{sum(sizes) / len(sizes):.0f}",
        f"files under {SHORT} lines": str(sum(size < SHORT for size in sizes)),
        f"files over {LONG} lines": str(sum(size > LONG for size in sizes)),
        "longest file": f"{longest} ({house.lines[longest]})",
        "folders": str(len(house.folders)),
        "widest folder": f"{widest} ({files} files)",
        "largest function": f"{largest} ({house.functions[largest]})",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How the code is laid out, as a table.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path()], help="checkouts")
    roots: list[Path] = parser.parse_args().folders
    columns = [rows(look(root)) for root in roots]
    print("| |", " | ".join(str(root) for root in roots), "|")
    print("|---" * (len(roots) + 1) + "|")
    for name in columns[0]:
        print(f"| {name} |", " | ".join(column[name] for column in columns), "|")


if __name__ == "__main__":
    main()
