"""Who may import whom, and what `evolver --help` must not load."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import evolver

PACKAGE = Path(evolver.__file__).parent

# A file may import downward, or within its own folder; and no modules import in a circle. From the
# lowest, in the order in which ARCHITECTURE.md draws them; a group of files counts as one folder.
FOLDERS: tuple[tuple[str, ...], ...] = (
    ("handles", "types", "ports", "errors", "wording", "bundled", "extras"),
    ("programs",),
    ("tasks",),
    ("storage",),
    ("models",),
    ("prompts",),
    ("sandboxes",),
    ("operators",),
    ("routing",),
    ("evaluation",),
    ("search",),
    ("runs",),
    ("reports",),
    ("api",),
    ("checks",),
    ("scoring",),
    ("cli",),
)
HEIGHT = {name: height for height, names in enumerate(FOLDERS) for name in names}
# The package's own face: re-exports from anywhere below the command line.
FACE = {"__init__", "__main__"}
# What no order would stop: operators see a context and the storage sees no model (decision 6), the
# three kinds of effects know nothing of each other, and the kit for evaluators is theirs alone.
FORBIDDEN = {
    ("operators", "storage"),
    ("models", "storage"),
    ("sandboxes", "storage"),
    ("sandboxes", "models"),
    ("cli", "scoring"),
}


def _name(path: Path) -> str:
    """Return the module that a file is, or belongs to: "types", "storage.store"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts[:2] if part != "__init__") or "__init__"


def _folder(module: str) -> str:
    return module.partition(".")[0]


def _imports_of(path: Path) -> set[str]:
    """The modules of evolver that a file imports, wherever in it they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            module = node.module or ""
            is_folder = module == "evolver" or (PACKAGE.parent / module.replace(".", "/")).is_dir()
            names = [f"{module}.{alias.name}" for alias in node.names] if is_folder else [module]
        else:
            continue
        for name in names:
            if name.startswith("evolver."):
                inner = name.split(".")[1:]
                if (PACKAGE / inner[0]).is_dir() and len(inner) > 1:
                    place = PACKAGE / inner[0] / inner[1]
                    is_module = place.is_dir() or place.with_suffix(".py").is_file()
                    found.add(".".join(inner[:2]) if is_module else inner[0])
                else:
                    found.add(inner[0])
    return found


def _violations(module: str, imported: set[str]) -> list[str]:
    own = _folder(module)
    return [
        f"{module} imports {other}"
        for other in sorted(imported)
        if (there := _folder(other)) != own
        and there in HEIGHT
        and (HEIGHT[there] > HEIGHT[own] or (own, there) in FORBIDDEN)
    ]


def _sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "_bundled" not in path.parts]


def test_every_file_is_in_a_folder_that_has_its_place() -> None:
    assert {_folder(_name(path)) for path in _sources()} - FACE == set(HEIGHT)
    beside = [path.stem for path in PACKAGE.glob("*.py")]
    assert len(set(beside) - FACE) <= 8


def test_architecture_draws_the_folders_in_this_order() -> None:
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.partition("\nevolver/\n")[2].partition("```")[0]
    drawn = re.findall(r"^  (\w+)/", tree, re.M)
    assert drawn == [names[0] for names in FOLDERS if (PACKAGE / names[0]).is_dir()]


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward_or_within_the_folder(path: Path) -> None:
    module = _name(path)
    if module not in FACE:
        assert _violations(module, _imports_of(path)) == []


def test_the_rule_sees_an_upward_import() -> None:
    found = _violations("storage.store", {"search.engine", "types", "storage.facts"})
    assert found == ["storage.store imports search.engine"]
    found = _violations("operators.llm", {"storage.store", "programs.edits"})
    assert found == ["operators.llm imports storage.store"]


def test_nothing_imports_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in _sources():
        module = _name(path)
        if module not in FACE and path.name != "__init__.py":
            graph.setdefault(module, set()).update(_imports_of(path) - {module})
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "def f():\n    from evolver.storage import store\n    import evolver.search.engine\n"
        "    from evolver.types import Program\n    from evolver.models import openai\n"
    )
    assert _imports_of(source) == {"storage.store", "search.engine", "types", "models.openai"}


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


def test_evaluators_of_before_find_the_kit_by_its_former_names() -> None:
    program = (
        "import pickle, warnings\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    from evolver import verify\n"
        "    from evolver.straightline.minimax import rounded\n"
        "from evolver.scoring import verify as now\n"
        "from evolver.scoring.straightline import minimax\n"
        "assert verify is now and rounded is minimax.rounded\n"
        "assert now.__spec__.name == now.__name__ == 'evolver.scoring.verify'\n"
        "print(said[0].category.__name__, said[0].message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    expected = "DeprecationWarning evolver.verify is now evolver.scoring.verify"
    assert done.stdout.strip() == expected


def test_plugins_of_before_find_a_protocol_by_its_former_name() -> None:
    types, ports = (importlib.import_module(f"evolver.{name}") for name in ("types", "ports"))
    with pytest.warns(DeprecationWarning, match=r"evolver\.types\.Policy is now evolver\.ports"):
        former = types.Policy
    assert former is ports.Policy
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from evolver.types import Nothing")
