"""The rooms and who imports whom, read from the code, as a Mermaid graph with counts of imports.

    python benchmarks/import_graph.py [--level 2]

Level 1 draws the rooms, level 2 what stands in them. Exits 1 when an arrow runs against the house's direction
(flows -> pipelines -> generators).
"""

import argparse
import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("flows", "pipelines", "generators")


def imports(path: Path) -> list[str]:
    """Modules of the house that a file imports."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("leaven."):
            for alias in node.names:
                inner = ROOT / "/".join(f"{node.module}.{alias.name}".split(".")[1:])
                whole = inner.is_dir() or inner.with_suffix(".py").is_file()
                found.append(f"{node.module}.{alias.name}" if whole else node.module)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("leaven.")]
    return [name.removeprefix("leaven.") for name in found]


def edges(level: int) -> Counter[tuple[str, str]]:
    """(importer, imported) -> imports, at so many levels of names."""
    found: Counter[tuple[str, str]] = Counter()
    for room in ORDER:
        for path in sorted((ROOT / room).rglob("*.py")):
            here = ".".join(path.relative_to(ROOT).with_suffix("").parts[:level])
            for name in imports(path):
                there = ".".join(name.split(".")[:level])
                if there != here:
                    found[here, there] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", type=int, default=1)
    options = parser.parse_args()
    print("graph TD")
    wrong = []
    for (a, b), count in sorted(edges(options.level).items()):
        print(f"  {a.replace('.', '_')}[{a}] -->|{count}| {b.replace('.', '_')}[{b}]")
        rooms = [name.split(".")[0] for name in (a, b)]
        if rooms[1] in ORDER and ORDER.index(rooms[0]) > ORDER.index(rooms[1]):
            wrong.append(f"{a} -> {b}")
    if wrong:
        raise SystemExit(f"against the direction: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
