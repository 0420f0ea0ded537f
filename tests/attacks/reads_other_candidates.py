"""No other candidate can be reached, whether it waits or is over."""

import os
import sys
import tempfile


def f(host):
    here = os.path.dirname(os.path.abspath(__file__))
    # What Python imports from lies where it was installed, below /tmp perhaps, for all to read.
    mine = {here, os.getcwd(), os.environ.get("TMPDIR", ""), *sys.path}
    found = []
    for root in (
        os.path.dirname(here),
        os.path.dirname(os.getcwd()),
        tempfile.gettempdir(),
        "/tmp",
    ):
        for folder, folders, names in os.walk(root):
            if folder in mine:
                folders.clear()
                continue
            for name in names:
                try:
                    text = open(f"{folder}/{name}", errors="replace").read(10_000)
                except OSError:
                    continue
                if "def " in text and "evaluator" not in folder:
                    found.append(f"!read {folder}/{name}")
    number = os.path.basename(os.path.dirname(here + "/x"))
    if number.isdigit():
        for other in range(max(0, int(number) - 5), int(number) + 5):
            for kind in ("program", "scratch"):
                place = os.path.join(os.path.dirname(os.path.dirname(here)), kind, str(other))
                if other != int(number):
                    try:
                        found += [f"!listed {place}: {os.listdir(place)}"]
                    except OSError:
                        pass
    return found
