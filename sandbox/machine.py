"""Where Python lies on the machine that this runs on, for a host that cannot know it."""

from __future__ import annotations

import glob
import os
import site
import sysconfig

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local",
              "/opt")  # fmt: skip
_PROGRAMS = ("/bin", "/usr/bin", "/usr/include", "/usr/libexec", "/usr/share")
#: What loaders and runtimes read of /etc: public settings of the distribution, and no key.
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
        "/etc/localtime", "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/ssl/cert.pem",
        "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
        "/etc/pki/ca-trust/extracted", "/etc/pki/java", "/etc/ca-certificates/extracted",
        "/etc/crypto-policies", "/etc/java*", "/etc/fonts", "/etc/mime.types", "/etc/protocols",
        "/etc/services", "/etc/perl", "/etc/R")  # fmt: skip
#: What an image and its engine have of that kind, where it is nobody's.
_OF_AN_IMAGE = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
#: What of that tells the host's name.
_NAMED = ("/etc/ssl/certs/ssl-cert-snakeoil.pem",)


def python_path() -> list[str]:
    """Return `sys.path` for candidates: the standard library and the installed packages."""
    library = sysconfig.get_path("stdlib")
    # Debian's own Python does not look into the last of these; an image made from it has it.
    packages = [*site.getsitepackages(), f"{library}/site-packages"]
    path = dict.fromkeys([library, f"{library}/lib-dynload", *packages])
    return [place for place in path if os.path.isdir(place)]  # noqa: PTH112


def visible(path: list[str]) -> list[str]:
    """Return what candidates may read: Python, its libraries, and the programs of the machine."""
    wanted = (*_LIBRARIES, *_PROGRAMS, *path, *_OF_AN_IMAGE)
    return [place for place in dict.fromkeys(wanted) if os.path.exists(place)]  # noqa: PTH110


def etc(*, network: bool) -> list[str]:
    """Return what of /etc candidates may read."""
    wanted = (*_ETC, *(_NETWORK if network else ()))
    return [place for pattern in wanted for place in sorted(glob.glob(pattern))]  # noqa: PTH207


def named() -> list[str]:
    """Return what below those places candidates may not see: it tells whose host this is."""
    return [place for place in _NAMED if os.path.exists(place)]  # noqa: PTH110


def devices() -> list[str]:
    """Return the GPUs that an engine has put here."""
    return glob.glob("/dev/nvidia*")  # noqa: PTH207


def hidden(path: list[str], modules: list[str]) -> list[str]:
    """Return where modules lie that candidates may not see."""
    found = [f"{folder}/{name}{end}" for folder in path for name in modules for end in ("", ".py")]
    return [place for place in found if os.path.exists(place)]  # noqa: PTH110
