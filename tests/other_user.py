"""Runs Python as another user, also where the Python of the tests lies under a closed home.

In a mount namespace of its own each closed folder on the way to what is needed is replaced by an
open, empty one, with nothing but what is needed bound back into it. Nothing is copied.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import evolver

NOBODY = 65534
_NEEDED = (Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(evolver.__file__).parents[1])


def can_change_user() -> bool:
    """Is this root, with the right to mount?"""
    return os.getuid() == 0 and subprocess.run(["unshare", "--mount", "true"]).returncode == 0


def run_python(
    arguments: Sequence[str], *, uid: int, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run the Python of the tests with these arguments as this user, 0 being root."""
    lines = ["set -e"]
    closed = sorted({folder for path in _NEEDED for folder in _closed_above(path)}, key=str)
    with tempfile.TemporaryDirectory(prefix="as-other-user-") as home:
        Path(home).chmod(0o777)
        for number, folder in enumerate(closed):
            kept = f"{home}/{number}"
            inside = [path for path in _NEEDED if path.is_relative_to(folder)]
            for index, path in enumerate(inside):
                lines.append(f"mkdir -p {kept}/{index}; mount --bind {path} {kept}/{index}")
            lines.append(f"mount -t tmpfs -o mode=755 tmpfs {folder}")
            for index, path in enumerate(inside):
                lines.append(f"mkdir -p {path}; mount --move {kept}/{index} {path}")
        python = shlex.join([sys.executable, *arguments])
        lines.append(f"exec setpriv --reuid {uid} --regid {uid} --clear-groups -- {python}")
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", "\n".join(lines)],
            env={"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"},
            cwd=_NEEDED[-1],
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def _closed_above(path: Path) -> list[Path]:
    """The outermost folder above a path that others may not enter, if there is one."""
    above = [*reversed(path.parents), path]
    return [folder for folder in above if not folder.stat().st_mode & 0o001][:1]
