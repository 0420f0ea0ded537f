"""No writable memory is shared with later processes: this one overwrites shared mappings."""


def f(host):
    found = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.split()[1][1] == "w" and line.split()[1][3] == "s":
                found.append(f"!may write to {line.strip()}")
    return found
