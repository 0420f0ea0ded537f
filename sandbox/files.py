"""Trees of files: laid out for a candidate, looked through, removed.

With `os` and not with `pathlib`, because most of this runs in every evaluation.
"""
# ruff: noqa: PTH101, PTH103, PTH104, PTH106, PTH108, PTH110, PTH112, PTH114, PTH120, PTH208
# ruff: noqa: PTH211

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time

_YOUNG = 3600  # seconds


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
    """Link the files of another tree into a tree, except those that it already has."""
    for folder, _, names in os.walk(base):
        inner = os.path.relpath(folder, base)
        os.makedirs(f"{root}/{inner}", exist_ok=True)
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.symlink(f"{folder}/{name}", f"{root}/{inner}/{name}")


def wipe(path: str) -> None:
    """Remove a tree of any depth and any modes.

    Each folder below is moved up before it is read, so that no path gets too long.
    """
    folders = [path]
    unused = os.urandom(8).hex()
    number = 0
    while folders:
        folder = folders.pop()
        if os.path.islink(folder) or not os.path.isdir(folder):
            with contextlib.suppress(OSError):
                os.unlink(folder)
            continue
        for entry in _listed(folder):
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)  # moving a folder writes to it
                number += 1
                inner = f"{path}/{unused}-{number}"
                os.rename(entry.path, inner)
                folders.append(inner)
        if folder != path:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    with contextlib.suppress(OSError):
        os.rmdir(path)


def hold(folder: str) -> int:
    """Lock a folder; return the descriptor that holds the lock until it is closed.

    Raises:
        BlockingIOError: another process holds it.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def sweep(parent: str, prefix: str) -> None:
    """Remove folders of this user that no process holds: those of killed processes.

    Young ones are kept: their process may be about to lock them.
    """
    for entry in os.scandir(parent):
        if not entry.name.startswith(prefix):
            continue
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if status.st_uid == os.getuid() and status.st_mtime < time.time() - _YOUNG:
                fd = hold(entry.path)
                wipe(entry.path)
                os.close(fd)


def _listed(folder: str) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
        return list(os.scandir(folder))
    return []


def around(path: str, hidden: list[str]) -> list[str]:
    """Return paths that cover `path` and everything below it except the hidden paths."""
    if path in hidden:
        return []
    if not any(place.startswith(path + "/") for place in hidden):
        return [path] if os.path.exists(path) else []
    return [part for name in os.listdir(path) for part in around(f"{path}/{name}", hidden)]


def is_within(root: str, size: int, files: int) -> bool:
    """Does a tree hold at most so many bytes and entries?

    A tree too deep for a path counts as too large. A closed folder is opened first.
    """
    queue = [root]
    while queue:
        folder = queue.pop()
        try:
            entries = _scan(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return False
        for entry in entries:
            files -= 1
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                return False
            size -= max(status.st_size, status.st_blocks * 512)  # blocks may not be allocated yet
            if files < 0 or size < 0:
                return False
            if stat.S_ISDIR(status.st_mode):
                queue.append(entry.path)
    return True


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except PermissionError:
        os.chmod(folder, 0o700)
        return list(os.scandir(folder))
