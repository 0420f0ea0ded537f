"""Who may import whom, and what `evolver --help` must not load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import evolver

PACKAGE = Path(evolver.__file__).parent

# A module may import from its own layer and from those above it in this table, never from one
# below; and nothing imports in a circle.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("types", "errors", "rules", "wording", "languages"),
    (
        "bundled",
        "markers",
        "edits",
        "literals",
        "verify",
        "devices",
        "datasets",
        "sources",
        "objects",
        "straightline",
    ),
    (
        "directions",
        "mistakes",
        "objective",
        "task",
        "prompts",
        "plugins",
        "evaluator",
        "inside",
        "imports",
        "selection",
        "archives",
        "filters",
        "diffs",
    ),
    (
        "schema",
        "database",
        "facts",
        "evidence",
        "store",
        "salvage",
        "excerpts",
        "models",
        "sandboxes",
        "bench",
        "repository",
    ),
    (
        "operators",
        "population",
        "budget",
        "choice",
        "endpoint",
        "tuning",
        "preflight",
        "auditing",
        "worker",
    ),
    (
        "failures",
        "progress",
        "tally",
        "lines",
        "recorded",
        "recording",
        "patience",
        "screening",
        "walk",
        "confirming",
        "engine",
        "replay",
        "executors",
        "suspects",
        "gate",
    ),
    ("assignments", "config", "runs", "founding"),
    ("assemble", "background", "sessions", "histories", "preview"),
    (
        "api",
        "display",
        "terminal",
        "export",
        "report",
        "page",
        "scaffold",
        "tryout",
        "belongings",
        "probe",
        "reference",
        "standalone",
        "gallery",
        "dashboard",
        "host",
        "inspection",
        "spread",
    ),
    ("cli",),
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
# The package's own face: re-exports from anywhere below the command line.
ROOTS = {"__init__", "__main__"}
# What no layer would stop: operators see a context and the store sees no model (decision 6), and
# the three kinds of effects know nothing of each other.
FORBIDDEN = {
    ("operators", "store"),
    ("operators", "population"),
    ("store", "models"),
    ("store", "sandboxes"),
    ("models", "sandboxes"),
    ("models", "store"),
    ("sandboxes", "store"),
    ("sandboxes", "models"),
    ("dashboard", "engine"),
}


def _module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports_of(path: Path) -> set[str]:
    """The first-level modules of evolver that a file imports, wherever in it they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            names = (
                [f"evolver.{alias.name}" for alias in node.names]
                if node.module == "evolver"
                else [node.module or ""]
            )
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("evolver.")}
    return found


def _violations(module: str, imported: set[str]) -> list[str]:
    return [
        f"{module} imports {other}"
        for other in sorted(imported - {module})
        if other in LAYER_OF
        and (LAYER_OF[other] > LAYER_OF.get(module, 0) or (module, other) in FORBIDDEN)
    ]


def _sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "_bundled" not in path.parts]


def test_every_module_has_a_layer() -> None:
    assert {_module_of(path) for path in _sources()} - ROOTS <= set(LAYER_OF)


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    module = _module_of(path)
    if module not in ROOTS:
        assert _violations(module, _imports_of(path)) == []


def test_the_rule_sees_an_upward_import() -> None:
    assert _violations("store", {"engine", "types"}) == ["store imports engine"]
    assert _violations("operators", {"store", "edits"}) == ["operators imports store"]


def test_nothing_imports_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in _sources():
        module = _module_of(path)
        if module not in ROOTS:
            graph.setdefault(module, set()).update(_imports_of(path) - {module})
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def f():\n    from evolver import store\n    import evolver.search.engine\n")
    assert _imports_of(source) == {"store", "engine"}


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from evolver.cli import app\n"
        "result = CliRunner().invoke(app, ['--help'])\n"
        "print(json.dumps([result.exit_code, sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stdout)
    heavy = {
        "cma", "docker", "git", "jinja2", "libcst", "litellm", "mpmath", "numpy", "openai",
        "plotext", "plotly", "pydantic", "sqlite3", "asyncio.events", "starlette",
    }  # fmt: skip
    assert code == 0
    assert heavy & set(modules) == set()
