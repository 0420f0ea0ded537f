"""The candidate's working directory: runs commands there, reads and writes its files.

All this runs in the candidate's process, with the candidate's rights. So a path may be a link to
anywhere: it leads only to files that the candidate could open itself.
"""
# ruff: noqa: PTH103, PTH108, PTH113, PTH120, PTH123, PTH211

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import time
from collections.abc import Sequence
from io import FileIO

_PIECE = 1 << 16  # bytes: the size of a pipe
_LONG = 60.0  # seconds: the longest poll
_LARGE = 1 << 20  # bytes from which a file is linked, not copied
_CLEAN = dict(os.environ)  # the runner's; commands do not get the candidate's changes
#: Signals that Python ignores and that should end a command.
_RESTORED = [signal.SIGPIPE, signal.SIGXFSZ]


class RefusedError(Exception):
    """The request cannot be met; the message says why."""


class WorkingDirectory:
    """A writable directory in which the program's files and those beside them lie.

    They are laid out at the first use, so a candidate without commands pays nothing for it.

    Args:
        path: the scratch directory.
        root: the read-only directory with the same files.
        files: path relative to either -> contents.
        packages: folders of installed packages, for a Python that a command starts.
        limit: most bytes of one file that is read.
    """

    def __init__(
        self, path: str, root: str, files: dict[str, bytes], packages: list[str], limit: int
    ) -> None:
        self._path = path
        self._root = root
        self._files = files
        self._limit = limit
        self._packages = packages
        self._is_laid_out = False

    def run(
        self, command: Sequence[str], stdin: bytes, seconds: float | None
    ) -> tuple[int, bytes, bytes, bool, bool]:
        """Run a command to its end or for some seconds; after these the host kills everything.

        Background processes of the command run on until the evaluation ends; their output is lost.

        Returns:
            Its exit code (-N for signal N), the first bytes of its stdout and its stderr (a quarter
            of the limit each), whether there was more, and whether it still runs.

        Raises:
            RefusedError: there is no such command.
        """
        self.lay_out()
        with contextlib.ExitStack() as stack:
            ends = [
                stack.enter_context(FileIO(fd, mode))
                for _ in range(3)
                for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
            ]
            its_stdin, to_it, from_it, its_stdout, errors, its_stderr = ends
            theirs = (its_stdin, its_stdout, its_stderr)
            try:
                try:
                    pid = self._spawn(command, theirs)
                except PermissionError:
                    if not _renew_executable(command[0]):
                        raise
                    pid = self._spawn(command, theirs)
            except OSError as error:
                raise RefusedError(f"{command[0]!r} cannot be run: {error.strerror}") from None
            for end in theirs:
                end.close()
            talk = _Talk(to_it, stdin, (from_it, errors), self._limit // 4)
            has_ended = talk.follow(pid, seconds)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if has_ended else 0
        return code, bytes(talk.heard[0]), bytes(talk.heard[1]), talk.is_cut, not has_ended

    def _spawn(self, command: Sequence[str], ends: Sequence[FileIO]) -> int:
        return os.posix_spawnp(
            command[0],
            list(command),
            self._environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, end.fileno(), fd) for fd, end in enumerate(ends)],
            setsigdef=_RESTORED,
        )

    def read(self, path: str) -> bytes:
        """Return the contents of a regular file.

        Raises:
            RefusedError: there is no such file, or it is too large.
        """
        self.lay_out()
        try:
            # Opening a pipe without a writer would block.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise RefusedError(f"{path!r} is not a regular file")
            with open(fd, "rb") as file:
                content = file.read(self._limit + 1)
        except OSError as error:
            raise RefusedError(f"{path!r} cannot be read: {error.strerror}") from None
        if len(content) > self._limit:
            raise RefusedError(f"{path!r} has more than {self._limit} bytes: see result_bytes")
        return content

    def write(self, path: str, content: bytes) -> None:
        """Replace a file, and make its folders.

        Raises:
            RefusedError: it cannot be written.
        """
        self.lay_out()
        try:
            _write(path, content)
        except OSError as error:
            raise RefusedError(f"{path!r} cannot be written: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        packages = os.pathsep.join(self._packages)
        return {**_CLEAN, "HOME": self._path, "TMPDIR": self._path, "PYTHONPATH": packages}

    def lay_out(self) -> None:
        """Change to the directory, and lay the files out if that has not been done."""
        os.chdir(self._path)
        if self._is_laid_out:
            return
        self._is_laid_out = True
        for path, content in self._files.items():
            if not os.path.lexists(path):  # else the candidate has written it
                try:
                    if len(content) < _LARGE:
                        _write(path, content)
                    else:
                        _make_folder(path)
                        os.symlink(f"{self._root}/{path}", path)
                except OSError as error:
                    raise RefusedError(f"{path!r} cannot be laid out: {error.strerror}") from None


def _write(path: str, content: bytes) -> None:
    _make_folder(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    # A program's files have no modes; a script that names its interpreter is executable.
    mode = 0o755 if content.startswith(b"#!") else 0o644
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _renew_executable(path: str) -> bool:
    """Replace the output of a linker by an executable copy, where modes cannot be changed.

    That is in tier B of an ordinary user; see `shares_user` in `seccomp.build_filter`.
    """
    if "/" not in path or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(b"\x7fELF"):
        return False
    os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755), "wb") as file:
        file.write(content)
    return True


def _make_folder(path: str) -> None:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)


class _Talk:
    """Writes a command's input and reads its output while it runs.

    Args:
        sink: its standard input.
        content: its input.
        sources: its standard output and its standard error.
        most: bytes of each that are kept; the rest is read and dropped.
    """

    def __init__(
        self, sink: FileIO, content: bytes, sources: tuple[FileIO, FileIO], most: int
    ) -> None:
        self.heard = [bytearray(), bytearray()]
        self.is_cut = False
        self._sink, self._sources = sink, sources
        self._unsent = memoryview(content)
        self._most = most
        self._poll = select.poll()

    def follow(self, pid: int, seconds: float | None) -> bool:
        """Read until this process has ended, or for some seconds.

        Returns:
            Has it ended?
        """
        ends = None if seconds is None else time.monotonic() + seconds
        for end in (self._sink, *self._sources):
            os.set_blocking(end.fileno(), False)
            self._poll.register(end, select.POLLOUT if end is self._sink else select.POLLIN)
        with open(os.pidfd_open(pid), "rb", 0) as ended:
            self._poll.register(ended, select.POLLIN)
            is_alive = True
            while is_alive:
                left = _LONG if ends is None else ends - time.monotonic()
                if left <= 0:
                    return False
                events = {fd for fd, _ in self._poll.poll(1000 * min(left, _LONG))}
                is_alive = ended.fileno() not in events
                for source, heard in zip(self._sources, self.heard, strict=True):
                    # Once it is dead, the pipe holds the rest, at most one piece.
                    if source.fileno() in events or not is_alive:
                        self._hear(source, heard)
                if not self._sink.closed and self._sink.fileno() in events:
                    self._say()
        return True

    def _hear(self, source: FileIO, heard: bytearray) -> None:
        piece = source.read(_PIECE)
        if piece == b"":
            with contextlib.suppress(KeyError):  # at its end already
                self._poll.unregister(source)
        elif piece:
            room = self._most - len(heard)
            heard += piece[:room]
            self.is_cut |= len(piece) > room

    def _say(self) -> None:
        try:
            self._unsent = self._unsent[self._sink.write(self._unsent[:_PIECE]) or 0 :]
        except BrokenPipeError:  # it has closed its input
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._poll.unregister(self._sink)
            self._sink.close()
