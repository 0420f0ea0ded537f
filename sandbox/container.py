"""Tier B in a container of an engine."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

from sandbox import landlock, seccomp
from sandbox.cells import LandlockCells
from sandbox.files import wipe

_NICE = 10


class ContainerCells(LandlockCells):
    """Tier B in a container: its root can change its uid and kill, but not touch others' files.

    So the files of a candidate are made and removed under the candidate's uid.
    """

    scratch_is_open = False  # a file system of fixed size
    _is_alone = True
    _private = ("/tmp", "/dev/shm")  # file systems in memory, the same for all candidates

    def furnish(self) -> None:
        """Give the runner, which has to kill it, precedence on the processors that they share."""
        super().furnish()
        os.nice(_NICE)

    def _make_place(self) -> str:
        place = super()._make_place()
        Path(place, "scratch").chmod(0o771)  # a candidate's uid, in root's group, makes a folder
        for folder in self._private:
            Path(folder).chmod(0o1777)  # an engine gives them the mode of the image's folder
        return place

    def _make_rules(self) -> landlock.Ruleset | None:
        if landlock.version():
            return super()._make_rules()
        # All other files here belong to root, and are read-only or closed.
        self.notes.append("containers here have no Landlock: candidates can read all of the image")
        return None

    def _new_folder(self) -> str:
        return "/box"  # the same in every container, so candidates cannot tell them apart

    def _make_filter(self) -> bytes:
        return seccomp.build_filter(network=self._terms.network)  # no server listens in here

    def _make_scratch(self, path: str) -> None:
        os.seteuid(self._uid)
        Path(path).mkdir(mode=0o700)
        os.seteuid(0)

    def _clear(self, folders: list[str]) -> None:
        folders = [*dict.fromkeys((*folders, *self._private))]
        left: dict[int, list[str]] = {}  # owner -> folders that root may not read
        for entry in itertools.chain.from_iterable(map(os.scandir, folders)):
            owner = entry.stat(follow_symlinks=False).st_uid
            if owner == 0:
                continue  # from the task or the image
            try:
                # Root owns the folder, so it may remove entries that others own.
                remove = os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink
                remove(entry.path)
            except OSError:
                left.setdefault(owner, []).append(entry.path)
        for owner, paths in left.items():
            self._wipe_as(owner, paths)

    def _wipe_as(self, owner: int, paths: list[str]) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(owner, owner, owner)
                for path in paths:
                    wipe(path)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        for path in paths:
            with contextlib.suppress(OSError):
                Path(path).rmdir()
