"""Tier B in a container of an engine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sandbox import landlock, seccomp
from sandbox.cells import LandlockCells
from sandbox.files import wipe

_NICE = 10


class ContainerCells(LandlockCells):
    """Tier B in a container: its root can change its uid and kill, and may not touch others' files.

    So what belongs to a candidate is made and removed under the candidate's uid.
    """

    scratch_is_open = False  # a file system of fixed size

    def furnish(self) -> None:
        """Let the runner, which has to kill it, go first on the processors that they share."""
        super().furnish()
        os.nice(_NICE)

    def _make_place(self) -> str:
        place = super()._make_place()
        Path(place, "scratch").chmod(0o771)  # for whoever is of root's group, with its own uid
        return place

    def _make_rules(self) -> landlock.Ruleset | None:
        if landlock.version():
            return super()._make_rules()
        # All else here is root's and read-only, or root's and closed.
        self.notes.append("containers here have no Landlock: candidates can read all of the image")
        return None

    def _new_folder(self) -> str:
        folder = Path("/tmp/box")  # the same in every container: a candidate cannot tell them apart
        folder.mkdir()
        return str(folder)

    def _make_filter(self) -> bytes:
        return seccomp.build_filter(network=self._terms.network)  # no server listens in there

    def _make_scratch(self, path: str) -> None:
        os.seteuid(self._uid)
        Path(path).mkdir(mode=0o700)
        os.seteuid(0)

    def _wipe(self, entry: os.DirEntry[str]) -> None:
        try:
            Path(entry.path).rmdir()  # mostly it is empty
            return
        except OSError:
            owner = entry.stat(follow_symlinks=False).st_uid
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(owner, owner, owner)
                wipe(entry.path)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            Path(entry.path).rmdir()
