"""Optional packages: which modules are missing, and how to install them."""

from __future__ import annotations

import importlib.util
from importlib.metadata import requires

from packaging.requirements import Requirement

from evolver.errors import UsageError
from evolver.wording import shell

#: Module -> package, if their names differ.
_PACKAGES = {"sklearn": "scikit-learn"}


def require_modules(*names: str) -> None:
    """Check that the modules that an evaluator or its candidates need are installed.

    Raises:
        UsageError: one is missing.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this task needs {' and '.join(missing)}: {installation(*missing)}")


def installation(*names: str) -> str:
    """Return the command that installs modules: `pip install 'scikit-learn>=1.6' triton`.

    The versions are those of evolver's extras; other modules have none.
    """
    wanted = {
        requirement.name: f"{requirement.name}{requirement.specifier}"
        for requirement in map(Requirement, requires("evolver") or ())
    }
    packages = [_PACKAGES.get(name, name) for name in names]
    return shell("pip", "install", *(wanted.get(package, package) for package in packages))
