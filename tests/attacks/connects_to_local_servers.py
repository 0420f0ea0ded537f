"""No server of the host can be reached, by a socket in the file system or an abstract one."""

import socket


def f(host):
    found = []
    places = [host["socket"], "\0" + host["abstract"], "/var/run/docker.sock", "/run/docker.sock"]
    places += [
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/run/containerd/containerd.sock",
    ]
    for place in places:
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(0.2)
                link.connect(place)
                found.append(f"!connected to {place!r}")
        except OSError:
            pass
    return found
