"""An image from this host's own Python, for hosts without a registry.

It holds Python without its tests, the wanted packages as installed here, and their shared
libraries: no shell, no setuid file, no key.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from evolver.errors import UsageError

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARY = f"usr/local/{sys.platlibdir}/{PYTHON}"
_LEFT_OUT = ("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip",
             "site-packages", "dist-packages", "config-*", "_tkinter*", "_test*.so",
             "*.opt-[12].pyc")  # fmt: skip
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/lib32", "/usr/lib32")
_NEEDED_LATE = ("libgcc_s.so.1",)  # the C library opens it when a thread ends


def write(
    target: IO[bytes],
    requirements: Iterable[str],
    report: Callable[[str], None],
    *,
    programs: Iterable[str] = (),
) -> None:
    """Write the root of the image as a tar archive.

    Args:
        target: the archive.
        requirements: packages, in pip's syntax.
        report: called with a line for each thing that is copied.
        programs: commands and folders that are copied too, to the same paths.

    Raises:
        UsageError: a package or a command is not installed here.
    """
    distributions = _closure(requirements)
    with tempfile.TemporaryDirectory(prefix="evolver-image-") as folder:
        root = Path(folder)
        _copy_python(root)
        report(f"Python {sys.version.split()[0]}: {_size(root)}")
        packages = root / _LIBRARY / "site-packages"
        for distribution in distributions:
            copied = _copy_distribution(distribution, packages)
            report(f"{distribution.name} {distribution.version}: {_size(*copied)}")
        for program in programs:
            copied = _copy_program(program, root)
            report(f"{program}: {_size(*copied)}")
        libraries = _copy_libraries(root)
        report(f"{len(libraries)} shared libraries: {_size(*libraries)}")
        _copy_rest(root, libraries)
        with tarfile.open(fileobj=target, mode="w|") as archive:
            archive.add(root, ".", filter=_of_root)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = entry.mode & 0o755 | (0o555 if entry.mode & 0o100 else 0o444)
    return entry


def _size(*places: Path) -> str:
    files = [place for place in places if place.is_file()]
    files += [p for place in places if place.is_dir() for p in place.rglob("*") if p.is_file()]
    return f"{sum(file.lstat().st_size for file in files) / 1e6:.0f} MB"


# --- Python -------------------------------------------------------------------------------------


def _copy_python(root: Path) -> None:
    library = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    shutil.copytree(
        library, root / _LIBRARY, symlinks=False, ignore=shutil.ignore_patterns(*_LEFT_OUT),
        ignore_dangling_symlinks=True,
    )  # fmt: skip
    (root / _LIBRARY / "site-packages").mkdir()
    programs = root / "usr/local/bin"
    programs.mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), programs / PYTHON)
    for name in ("python3", "python"):
        (programs / name).symlink_to(PYTHON)


# --- packages -----------------------------------------------------------------------------------


def _closure(requirements: Iterable[str]) -> list[metadata.Distribution]:
    """Return the installed distributions of the requirements, and those that they require."""
    found: dict[str, metadata.Distribution] = {}
    queue = [_parse(text) for text in requirements]
    while queue:
        wanted = queue.pop(0)
        distribution = _installed(wanted)
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found[name] = distribution
        for text in distribution.requires or ():
            needed = Requirement(text)
            if _applies(needed, wanted.extras):
                queue.append(needed)
    return list(found.values())


def _installed(wanted: Requirement) -> metadata.Distribution:
    mend = "install it beside evolver with pip, or build the image without --from-host"
    try:
        distribution = metadata.distribution(wanted.name)
    except metadata.PackageNotFoundError:
        raise UsageError(f"{wanted} is not installed here: {mend}") from None
    if not wanted.specifier.contains(distribution.version, prereleases=True):
        raise UsageError(
            f"{wanted} is required, but {distribution.version} is installed here: {mend}"
        )
    is_editable = '"editable": true' in (distribution.read_text("direct_url.json") or "")
    if is_editable or not distribution.files:
        raise UsageError(
            f"the files of {wanted.name} are not listed, because it is an editable install or of "
            f"the system: {mend}"
        )
    return distribution


def _parse(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise UsageError(
            f"{text!r} is not the name of a package, and --from-host copies only packages: name "
            "packages, or build the image without --from-host"
        ) from None
    return requirement


def _applies(needed: Requirement, extras: set[str]) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def _copy_distribution(distribution: metadata.Distribution, packages: Path) -> list[Path]:
    """Copy the files of a distribution in the packages' folder; return the copies."""
    copied = []
    for file in distribution.files or ():
        if file.is_absolute() or ".." in file.parts or file.suffix == ".pth":
            continue  # commands, and files that run when Python starts
        source, target = Path(str(distribution.locate_file(file))), packages / file
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            copied.append(target)
    return copied


# --- programs -----------------------------------------------------------------------------------


def _copy_program(name: str, root: Path) -> list[Path]:
    """Copy a command or a folder to the same path; return the copy."""
    found = Path(shutil.which(name) or name)
    if not found.is_absolute() or not found.exists():
        raise UsageError(f"--with {name}: there is no such command here; install it, or omit it")
    target = root / str(found)[1:]
    target.parent.mkdir(parents=True, exist_ok=True)
    if found.is_dir():
        shutil.copytree(found, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(found, target)
    if not (root / "bin").exists():
        (root / "bin").symlink_to("usr/bin")  # scripts name their shell in /bin
    return [target]


# --- shared libraries ---------------------------------------------------------------------------


def _copy_libraries(root: Path) -> list[Path]:
    """Copy the libraries that the copied files need; return the copies.

    Those of the system keep their paths, the others go to /usr/local/lib.
    """
    programs = [path for path in root.rglob("*") if path.is_file() and _is_elf(path)]
    copied: list[Path] = []
    for library in sorted({*_named_by(programs, root), *_late()}):
        place = library if library.startswith(_SYSTEM) else f"/usr/local/lib/{Path(library).name}"
        target = root / place[1:]
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library, target)  # a link's target, under the link's name
            copied.append(target)
    return copied


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _named_by(programs: list[Path], root: Path) -> Iterator[str]:
    """Ask the loader which libraries these files would get here."""
    environment = {**os.environ, "LC_ALL": "C"}
    done = _run(["ldd", *map(str, programs)], environment)
    for line in done.splitlines():
        match = re.match(r"\s+(?:\S+ => )?(/\S+) \(0x", line)
        if match and not match[1].startswith(f"{root}/"):
            yield match[1]


@functools.cache
def _late() -> tuple[str, ...]:
    lines = _run([shutil.which("ldconfig") or "/sbin/ldconfig", "-p"]).splitlines()
    paths = [line.partition(" => ")[2] for line in lines if line.split()[:1]
             and line.split()[0] in _NEEDED_LATE]  # fmt: skip
    return tuple(paths[:1])


def _copy_rest(root: Path, libraries: list[Path]) -> None:
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text("root:x:0:0:root:/:/none\n")
    (etc / "group").write_text("root:x:0:\n")
    places = {
        str(p.parent)[len(str(root)) :] for p in root.rglob("*.so*") if _LIBRARY not in str(p)
    }
    (etc / "ld.so.conf").write_text("".join(f"{place}\n" for place in sorted(places)))
    for folder in ("tmp", "proc", "sys", "dev"):
        (root / folder).mkdir(exist_ok=True)
    _run([shutil.which("ldconfig") or "/sbin/ldconfig", "-r", str(root)])


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError(
            f"{command[0]}, which finds shared libraries, is missing here: --from-host needs Linux "
            "with the GNU C library"
        ) from None
    return done.stdout
