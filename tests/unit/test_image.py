"""What an image for candidates holds, what it is called, and what cannot be copied into one."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from evolver.errors import UsageError
from evolver.sandboxes import host_image, image


def test_the_lines_of_a_tasks_requirements(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("# graphs\nnetworkx>=3  # 3.0 is enough\n\nmpmath\n")
    assert image.wanted_packages((), tmp_path) == ("numpy",)
    assert image.wanted_packages(["scipy", "more.txt", "mpmath"], tmp_path) == (
        "numpy",
        "scipy",
        "networkx>=3",
        "mpmath",
    )
    assert image.wanted_packages(["NumPy>=2", "scipy"], tmp_path) == ("NumPy>=2", "scipy")
    assert image.wanted_packages(["numpy-financial"], tmp_path) == ("numpy", "numpy-financial")
    with pytest.raises(UsageError, match=r"none\.txt cannot be read"):
        image.wanted_packages(["none.txt"], tmp_path)


def test_a_tag_changes_with_what_is_in_the_image() -> None:
    tags = [image.default_tag(packages) for packages in (("numpy",), ("numpy", "a"), ("numpy>2",))]
    assert len(set(tags)) == 3
    assert tags[0] == image.default_tag()
    assert f"-py3.{sys.version_info.minor}" in tags[0]


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("no-such-package-anywhere", "is not installed here: install it beside evolver"),
        ("numpy<1", r"numpy<1 is required, but [\d.]+ is installed here"),
        ("-r other.txt", "is not the name of a package"),
        ("evolver", r"an editable install|is not the name of a package"),
    ],
)
def test_what_cannot_be_copied_from_the_host_is_named(package: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        host_image.write(io.BytesIO(), [package], lambda _line: None)


@pytest.mark.slow
def test_an_image_from_the_host_holds_python_and_no_more() -> None:
    archive = io.BytesIO()
    said: list[str] = []
    host_image.write(archive, ["mpmath"], said.append, programs=["sh"])
    archive.seek(0)
    with tarfile.open(fileobj=archive) as root:
        entries = {entry.name.removeprefix("./"): entry for entry in root}
    library = f"usr/local/{sys.platlibdir}/{host_image.PYTHON}"
    assert {f"usr/local/bin/{host_image.PYTHON}", f"{library}/os.py"} <= set(entries)
    assert f"{library}/site-packages/mpmath/__init__.py" in entries
    assert any(name.startswith("lib") and "libc.so" in name for name in entries)
    assert not any("/test/" in name or "/evolver" in name for name in entries)
    assert not any(entry.mode & 0o7022 or entry.uid or entry.gid for entry in entries.values())
    assert [line.partition(" ")[0] for line in said][:3] == ["Python", "mpmath", "sh:"]
