"""No network: neither TCP, UDP and raw sockets nor a name server."""

import socket


def f(host):
    found = []
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", host["port"])),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", host["port"])),
        (socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 80)),
        (socket.AF_INET6, socket.SOCK_STREAM, ("::1", host["port"])),
        (socket.AF_INET, socket.SOCK_RAW, ("127.0.0.1", 1)),
        (socket.AF_NETLINK, socket.SOCK_RAW, (0, 0)),
        (socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0)),
    ):
        try:
            with socket.socket(family, kind) as link:
                link.settimeout(0.2)
                link.connect(address)
                if family == socket.AF_NETLINK:
                    continue  # without a network there is nothing that it could tell
                found.append(f"!connected {family!r} {kind!r} {address}")
        except OSError:
            pass
    try:
        socket.setdefaulttimeout(0.2)
        found += [f"!resolved {socket.gethostbyname('example.com')}"]
    except OSError:
        pass
    return found
