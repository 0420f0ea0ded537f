"""Trees of files: laid out for a candidate, looked through, removed.

With `os` and not with `pathlib`, because most of this is on the clock of every evaluation.
"""
# ruff: noqa: PTH101, PTH103, PTH106, PTH108, PTH110, PTH112, PTH114, PTH120, PTH208
# ruff: noqa: PTH211

from __future__ import annotations

import contextlib
import os


def write_files(root: str, files: dict[str, bytes]) -> None:
    """Write a tree of read-only files."""
    os.makedirs(root, exist_ok=True)
    for path, content in files.items():
        target = f"{root}/{path}"
        folder = os.path.dirname(target)
        if folder != root:
            os.makedirs(folder, exist_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.close(fd)


def link_missing(root: str, base: str) -> None:
    """Link into a tree the files of another that it does not have itself."""
    for folder, _, names in os.walk(base):
        inner = os.path.relpath(folder, base)
        os.makedirs(f"{root}/{inner}", exist_ok=True)
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.symlink(f"{folder}/{name}", f"{root}/{inner}/{name}")


def wipe(path: str) -> None:
    """Remove a tree, whatever rights its owner has taken from himself."""
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
        return
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        for entry in os.scandir(path):
            wipe(entry.path)
        os.rmdir(path)


def around(path: str, hidden: list[str]) -> list[str]:
    """Return paths that cover all that is at and below `path` but for the hidden ones."""
    if path in hidden:
        return []
    if not any(place.startswith(path + "/") for place in hidden):
        return [path] if os.path.exists(path) else []
    return [part for name in os.listdir(path) for part in around(f"{path}/{name}", hidden)]


def is_within(root: str, size: int, files: int) -> bool:
    """Does a tree hold at most so many bytes and entries?"""
    queue = [root]
    while queue:
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(queue.pop())):
                files -= 1
                status = entry.stat(follow_symlinks=False)
                size -= max(status.st_size, status.st_blocks * 512)  # blocks may not be given yet
                if files < 0 or size < 0:
                    return False
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
    return True
