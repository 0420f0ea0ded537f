"""The inherited memory holds no inputs of earlier candidates and no answers."""

import re


def f(host):
    wanted = re.compile(rb"expected-[0-9a-f]{32}")
    found = []
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("r") or "[v" in line:
                continue
            start, end = (int(word, 16) for word in span.split("-"))
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found += [each.decode() for each in wanted.findall(content)]
    return found
