"""Paths of the machine that the runner is on, where the host cannot know them: in a container."""

from __future__ import annotations

import glob
import os
import site
import sysconfig

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local",
              "/opt")  # fmt: skip
_PROGRAMS = ("/bin", "/usr/bin", "/usr/include", "/usr/libexec", "/usr/share")
#: Files of /etc that loaders and runtimes read: public settings of the distribution, no keys.
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
        "/etc/localtime", "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/ssl/cert.pem",
        "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
        "/etc/pki/ca-trust/extracted", "/etc/pki/java", "/etc/ca-certificates/extracted",
        "/etc/crypto-policies", "/etc/java*", "/etc/fonts", "/etc/mime.types", "/etc/protocols",
        "/etc/services", "/etc/perl", "/etc/R")  # fmt: skip
#: Further files that are harmless in a container: they come from the image or the engine.
_OF_AN_IMAGE = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
#: Files among these that contain the host's name.
_NAMED = ("/etc/ssl/certs/ssl-cert-snakeoil.pem",)


def python_path() -> list[str]:
    """Return `sys.path` for candidates: the standard library and the installed packages."""
    library = sysconfig.get_path("stdlib")
    # Debian's Python does not search the last of these; an image made from a host may use it.
    packages = [*site.getsitepackages(), f"{library}/site-packages"]
    path = dict.fromkeys([library, f"{library}/lib-dynload", *packages])
    return [place for place in path if os.path.isdir(place)]  # noqa: PTH112


def visible(path: list[str]) -> list[str]:
    """Return the paths that candidates may read: Python, libraries, programs of the machine."""
    wanted = (*_LIBRARIES, *_PROGRAMS, *path, *_OF_AN_IMAGE)
    return [place for place in dict.fromkeys(wanted) if os.path.exists(place)]  # noqa: PTH110


def etc(*, network: bool) -> list[str]:
    """Return the files of /etc that candidates may read."""
    wanted = (*_ETC, *(_NETWORK if network else ()))
    return [place for pattern in wanted for place in sorted(glob.glob(pattern))]  # noqa: PTH207


def named() -> list[str]:
    """Return the paths below those that are hidden, because they contain the host's name."""
    return [place for place in _NAMED if os.path.exists(place)]  # noqa: PTH110


def devices() -> list[str]:
    """Return the device files of the GPUs that an engine has put here."""
    return glob.glob("/dev/nvidia*")  # noqa: PTH207


def hidden(path: list[str], modules: list[str]) -> list[str]:
    """Return the paths of modules that candidates may not see."""
    found = [f"{folder}/{name}{end}" for folder in path for name in modules for end in ("", ".py")]
    return [place for place in found if os.path.exists(place)]  # noqa: PTH110
