"""Runs Python as another user, even if the Python of the tests is below a closed home.

In a mount namespace of its own, each closed folder above the needed paths is replaced by an open,
empty one, into which only these paths are bound. Nothing is copied.
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
_OPEN = ("/tmp", "/var/tmp", "/dev/shm")  # to everybody
_ALONE = ("--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts")
_NEEDED = (Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(evolver.__file__).parents[1])


def can_change_user() -> bool:
    """Is this root, with the right to mount?"""
    return os.getuid() == 0 and subprocess.run(["unshare", "--mount", "true"]).returncode == 0


def run_python(
    arguments: Sequence[str],
    *,
    uid: int,
    timeout: float,
    namespaces: bool = True,
    alone: bool = False,
    umask: int = 0o022,
) -> subprocess.CompletedProcess[str]:
    """Run the Python of the tests with these arguments as this user, 0 being root.

    Args:
        arguments: after the interpreter.
        uid: the user.
        timeout: seconds.
        namespaces: may it make user namespaces? A hardened host forbids it.
        alone: run it with namespaces and temporary folders of its own, and with limits, so that it
            cannot harm this machine.
        umask: of the process, such as a user's shell sets.
    """
    lines = ["set -e", "umask 022"]
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
        if alone:
            lines += [f"mount -t tmpfs -o size=300m,mode=1777 tmpfs {place}" for place in _OPEN]
            lines.append(f"mkdir -p {home}; chmod 777 {home}")
            python = f"prlimit --nproc=200 --as={2 << 30} --fsize={100 << 20} -- {python}"
        if not namespaces:
            forbid = "echo 0 > /proc/sys/user/max_user_namespaces"
            inner = f"{forbid} && exec setpriv --ambient-caps -all --inh-caps -all -- {python}"
            python = f"unshare --user --map-current-user --keep-caps sh -c {shlex.quote(inner)}"
        lines.append(f"umask {umask:03o}")
        change = f"setpriv --reuid {uid} --regid {uid} --clear-groups"
        if alone:
            change += " --pdeathsig KILL"  # which --kill-child has set and the change of uid undoes
        lines.append(f"exec {change} -- {python}")
        return subprocess.run(
            ["unshare", "--mount", *(_ALONE if alone else ()), "sh", "-c", "\n".join(lines)],
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
