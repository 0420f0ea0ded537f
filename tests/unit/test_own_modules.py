"""Which modules of the user's own a file imports."""

from __future__ import annotations

import pytest

from evolver.errors import UsageError
from evolver.programs.imports import import_base, own_modules

CASES = {
    "none": ("import math, os.path\n", set()),
    "a sibling": ("import a\n", {"a.py"}),
    "in a function": ("def f():\n    from a import x\n", {"a.py"}),
    "through another": ("import b\n", {"a.py", "b.py"}),
    "a package": ("import geo\n", {"geo/__init__.py"}),
    "a module in it": ("import geo.dist\n", {"geo/__init__.py", "geo/dist.py", "geo/far.py"}),
    "from a package": ("from geo import far\n", {"geo/__init__.py", "geo/far.py"}),
    "a name in it": ("from geo import NAME\n", {"geo/__init__.py"}),
    "a folder": ("from lib.one import x\n", {"lib/one.py"}),
    "a folder's module": ("from lib import one\n", {"lib/one.py"}),
    "itself": ("import p\n", set()),
}


@pytest.fixture
def folder(tmp_path):
    for path, content in {
        "a.py": "x = 1\n",
        "b.py": "import a, b\n",
        "geo/__init__.py": "NAME = 1\n",
        "geo/dist.py": "from .far import y\nfrom . import far\n",
        "geo/far.py": "y = 1\n",
        "geo/unused.py": "",
        "lib/one.py": "",
        "other.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    return tmp_path


@pytest.mark.parametrize(("text", "wanted"), CASES.values(), ids=CASES)
def test_what_is_imported_is_found(folder, text, wanted):
    (folder / "p.py").write_text(text)
    found = {path.relative_to(folder).as_posix() for path in own_modules(folder / "p.py", [folder])}
    assert found == {"p.py", *wanted}


def test_a_module_of_a_package_needs_the_packages_around_it(folder):
    deep = folder / "geo" / "deep"
    deep.mkdir()
    (deep / "__init__.py").write_text("from ..far import y\n")
    (deep / "p.py").write_text("from ..dist import y\n")
    found = {path.relative_to(folder).as_posix() for path in own_modules(deep / "p.py", [])}
    assert found == {
        "geo/deep/p.py", "geo/deep/__init__.py", "geo/__init__.py", "geo/dist.py", "geo/far.py"
    }  # fmt: skip
    assert import_base(deep / "p.py") == folder
    assert import_base(folder / "a.py") == folder


def test_what_is_no_python_is_named(folder):
    (folder / "a.py").write_text("x = (\n")
    (folder / "p.py").write_text("import a\n")
    with pytest.raises(UsageError, match=r"a\.py:1: .*fix it first"):
        list(own_modules(folder / "p.py", [folder]))


def test_what_a_file_in_c_includes_goes_along(folder):
    (folder / "main.c").write_text('#include <stdio.h>\n  # include "sub/a.h"\n#include "none.h"\n')
    (folder / "sub").mkdir()
    (folder / "sub" / "a.h").write_text('#include "../b.h"\n')
    (folder / "b.h").write_text('#include "b.h"\n')
    found = {path.relative_to(folder).as_posix() for path in own_modules(folder / "main.c", [])}
    assert found == {"main.c", "sub/a.h", "b.h"}
    (folder / "main.rs").write_text("import a\n")
    assert list(own_modules(folder / "main.rs", [folder])) == [folder / "main.rs"]
