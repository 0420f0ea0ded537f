"""The image of the docker backend: its name, and two ways to build it."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.sandboxes import host_image

REPOSITORY = "evolver-sandbox"
_ALWAYS = "numpy"  # arrays travel to candidates and back
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PIECE = 1 << 20


def wanted_packages(requirements: Iterable[str], root: Path) -> tuple[str, ...]:
    """Return the lines of a requirements file: numpy, and the packages of a task.

    Args:
        requirements: packages, or requirements files in the task's folder.
        root: the task's folder.

    Raises:
        UsageError: a file cannot be read.
    """
    lines: list[str] = []
    for entry in requirements:
        if entry.endswith(".txt"):
            try:
                lines += (root / entry).read_text("utf-8").splitlines()
            except OSError as error:
                raise UsageError(
                    f"[sandbox] requirements: {entry} cannot be read ({error.strerror}); name a "
                    "file of the task's folder, or packages"
                ) from error
        else:
            lines.append(entry)
    kept = [line.partition(" #")[0].strip() for line in lines]
    kept = [line for line in kept if line and not line.startswith("#")]
    has_it = any(re.match(rf"{_ALWAYS}(?![\w.-])", line, re.IGNORECASE) for line in kept)
    return tuple(dict.fromkeys(kept if has_it else [_ALWAYS, *kept]))


def default_tag(packages: Sequence[str] = (_ALWAYS,)) -> str:
    """Return the tag of the image with these packages: it changes with them and with evolver."""
    tag = f"{REPOSITORY}:{metadata.version('evolver')}-py{_PYTHON}"
    if tuple(packages) == (_ALWAYS,):
        return tag
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    return f"{tag}-{digest[:12]}"


def build(
    client: Any,
    tag: str,
    packages: Sequence[str],
    report: Callable[[str], None],
    *,
    base: str = "",
    apt: Sequence[str] = (),
) -> None:
    """Build the image from `sandbox/Dockerfile`.

    Args:
        client: of the engine.
        tag: the image's name.
        packages: lines of a requirements file.
        report: called with each line of the engine's output.
        base: the image to start from; "": Python's official one of this Python's version.
        apt: Debian packages.

    Raises:
        UsageError: the engine cannot build it; the message is the engine's.
    """
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(bundled("sandbox") / "Dockerfile", "Dockerfile")
        lines = "".join(f"{line}\n" for line in packages).encode()
        entry = tarfile.TarInfo("requirements.txt")
        entry.size = len(lines)
        archive.addfile(entry, io.BytesIO(lines))
    context.seek(0)
    with _replacing(client, tag):
        answers = client.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            buildargs={"BASE": base or f"python:{_PYTHON}-slim", "APT": " ".join(apt)},
        )
        for answer in answers:
            if "error" in answer:
                raise UsageError(
                    f"{tag} could not be built: {answer['error'].strip()}. Without a registry, "
                    "build it with --from-host"
                )
            if text := answer.get("stream", "").strip():
                report(text)


def build_from_host(
    client: Any,
    tag: str,
    packages: Sequence[str],
    report: Callable[[str], None],
    *,
    programs: Sequence[str] = (),
) -> None:
    """Make the image from this host's own Python, without a registry.

    Args:
        client: of the engine.
        tag: the image's name.
        packages: names of packages that are installed here.
        report: called with a line for each thing that is copied.
        programs: commands that are copied too, with their libraries; folders are copied whole.

    Raises:
        UsageError: a package or a command is not installed here, or the engine refuses the image.
    """
    import docker.errors  # takes 0.2 s, and every run imports this module

    started = time.monotonic()
    with tempfile.TemporaryFile() as archive:
        host_image.write(archive, packages, report, programs=programs)
        size = archive.tell()
        archive.seek(0)
        repository, _, version = tag.rpartition(":")
        try:
            with _replacing(client, tag):
                client.api.import_image_from_stream(
                    _pieces(archive),
                    repository=repository or tag,
                    tag=version if repository else None,
                    changes=["ENV PATH=/usr/local/bin:/usr/bin:/bin"],
                )
        except docker.errors.APIError as error:
            raise UsageError(f"the engine refused {tag}: {error.explanation or error}") from error
    report(f"{tag}: {size / 1e6:.0f} MB in {time.monotonic() - started:.1f} s")


@contextmanager
def _replacing(client: Any, tag: str) -> Iterator[None]:
    """Remove the image that has lost its tag to a new one, unless it is in use."""
    import docker.errors

    before = {each.id for each in client.images.list(tag)}
    yield
    for old in before - {each.id for each in client.images.list(tag)}:
        with suppress(docker.errors.APIError):
            client.images.remove(old)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
