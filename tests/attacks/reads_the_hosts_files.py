"""Only Python and the program can be read: no evaluator, no answers, no home directory."""

import glob
import os


def f(host):
    places = [host["secret"], "/etc/shadow", "/etc/sudoers", "/proc/1/cwd" + host["secret"]]
    places += [f"/proc/self/root{host['secret']}", f"/proc/{host['pid']}/root{host['secret']}"]
    for folder in (host["folder"], "/root", "/home/*", "/run/secrets", "/var/run", "/var/lib"):
        places += glob.glob(f"{folder}/*") + glob.glob(f"{folder}/.*")
    found = []
    for place in places:
        try:
            found.append(open(place, errors="replace").read(100_000))
        except OSError:
            continue
        if place.startswith(("/root/", "/home/", "/etc/shadow", "/etc/sudoers")):
            found.append(f"!read {place}")
    try:
        if os.listdir("/root") + os.listdir("/home"):
            found.append("!listed a home")
    except OSError:
        pass
    return found
