"""Ordinary programs of 10 to 60 lines that the genetic operators are measured on."""

from __future__ import annotations

import random
from typing import Any

STRAIGHT = b'''def f(x):
    """Approximate 2**x."""
    t1 = x * 0.5
    t2 = t1 + 3.25 / t1
    t3 = (t2 - 1.5) * (t2 + 1.5)
    t4 = t3 + x * (0.24 + x * 0.055)
    t5 = t4 * t4 - 0.125 / (t3 + 2.75)
    t6 = 1.0 + x * (0.693 + x * t5)
    return (t6 + 0.5) / (t4 - 0.5) * t2
'''
SORT = b'''def f(items):
    """Sort a list of numbers, and count the exchanges."""
    items = list(items)
    count = 0
    for i in range(len(items)):
        moved = False
        for j in range(0, len(items) - i - 1):
            if items[j] > items[j + 1]:
                items[j], items[j + 1] = items[j + 1], items[j]
                count += 1
                moved = True
        if not moved:
            break
    return items, min(count, 99)
'''
PACKING = b'''import math


def f(n):
    """Place circles on rings; return their centres and a radius."""
    centres = []
    ring = 0
    while len(centres) < n:
        count = max(1, int(6 * ring))
        for k in range(count):
            angle = 2.0 * math.pi * k / count + 0.3 * ring
            radius = 0.12 * ring
            x = 0.5 + radius * math.cos(angle)
            y = 0.5 + radius * math.sin(angle)
            if len(centres) < n:
                centres.append((min(max(x, 0.05), 0.95), min(max(y, 0.05), 0.95)))
        ring += 1
    return centres, 0.5 / math.sqrt(n)
'''
PRIMES = b'''def is_prime(n):
    if n < 2:
        return False
    divisor = 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 1
    return True


def f(limit):
    """Count the primes below a limit, and list the gaps between them."""
    count = 0
    last = None
    gaps = {}
    for n in range(limit):
        if is_prime(n):
            count += 1
            if last is not None:
                gap = n - last
                gaps[gap] = gaps.get(gap, 0) + 1
            last = n
    return count, sorted(gaps.items())
'''
TOUR = b'''import math


def distance(a, b):
    return math.hypot(a[0] - b[0], a[1] - b[1])


def length(points, order):
    total = 0.0
    for i in range(len(order)):
        total += distance(points[order[i - 1]], points[order[i]])
    return total


def nearest_neighbour(points, start):
    left = set(range(len(points)))
    left.remove(start)
    order = [start]
    while left:
        last = points[order[-1]]
        best = min(left, key=lambda i: distance(last, points[i]))
        order.append(best)
        left.remove(best)
    return order


def two_opt(points, order, rounds):
    n = len(order)
    for _ in range(rounds):
        improved = False
        for i in range(1, n - 1):
            for j in range(i + 1, n):
                a, b = points[order[i - 1]], points[order[i]]
                c, d = points[order[j]], points[order[(j + 1) % n]]
                change = distance(a, c) + distance(b, d) - distance(a, b) - distance(c, d)
                if change < -1e-9:
                    order[i : j + 1] = reversed(order[i : j + 1])
                    improved = True
        if not improved:
            break
    return order


def f(points):
    """Find a short tour through points of the plane."""
    best, shortest = None, math.inf
    for start in range(0, len(points), 5):
        order = two_opt(points, nearest_neighbour(points, start), 2)
        total = length(points, order)
        if total < shortest:
            best, shortest = order, total
    return best
'''
KNAPSACK = b'''def total(items, chosen, index):
    return sum(items[i][index] for i in chosen)


def f(problem):
    """Choose items (value, weight) that fit into the capacity; return their indices."""
    items, capacity = problem
    order = list(range(len(items)))
    order.sort(key=lambda i: items[i][0], reverse=True)
    chosen = []
    left = capacity
    for i in order:
        value, weight = items[i]
        if weight <= left:
            chosen.append(i)
            left -= weight
    outside = [i for i in range(len(items)) if i not in chosen]
    for i in outside:
        for j in list(chosen):
            if items[i][0] > items[j][0] and items[i][1] - items[j][1] <= left:
                left -= items[i][1] - items[j][1]
                chosen.remove(j)
                chosen.append(i)
                break
    if total(items, chosen, 1) > capacity:
        return []
    return sorted(chosen)
'''
COMPRESSOR = b'''WINDOW = 64
SHORTEST = 3


def longest_match(data, position):
    """Return offset and length of the longest earlier match."""
    best_offset, best_length = 0, 0
    start = max(0, position - WINDOW)
    for candidate in range(start, position):
        length = 0
        while position + length < len(data) and data[candidate + length] == data[position + length]:
            length += 1
            if length >= 255:
                break
        if length > best_length:
            best_offset, best_length = position - candidate, length
    return best_offset, best_length


def f(data):
    """Compress bytes into literals and references."""
    out = bytearray()
    literals = bytearray()
    position = 0
    while position < len(data):
        offset, length = longest_match(data, position)
        if length >= SHORTEST:
            if literals:
                out.append(0)
                out.append(len(literals))
                out.extend(literals)
                literals.clear()
            out.append(offset)
            out.append(length)
            position += length
        else:
            literals.append(data[position])
            position += 1
            if len(literals) == 255:
                out.append(0)
                out.append(255)
                out.extend(literals)
                literals.clear()
    if literals:
        out.append(0)
        out.append(len(literals))
        out.extend(literals)
    return bytes(out)
'''


def _points(count: int) -> list[tuple[float, float]]:
    rng = random.Random(count)
    return [(rng.random(), rng.random()) for _ in range(count)]


def _items(count: int) -> tuple[list[tuple[int, int]], int]:
    rng = random.Random(count)
    items = [(rng.randint(10, 99), rng.randint(5, 60)) for _ in range(count)]
    return items, sum(weight for _, weight in items) // 3


#: Name -> source of a function `f`, and arguments to call it with.
PROGRAMS: dict[str, tuple[bytes, list[Any]]] = {
    "straight": (STRAIGHT, [0.25, 0.5, 0.9]),
    "sort": (SORT, [[3, 1, 2], [5, 4, 3, 2, 1], [2, 2, 9, 1]]),
    "packing": (PACKING, [7, 12]),
    "primes": (PRIMES, [30, 100]),
    "tour": (TOUR, [_points(12), _points(20)]),
    "knapsack": (KNAPSACK, [_items(15), _items(25)]),
    "compressor": (COMPRESSOR, [b"banana band bananas", b"abcabcabcabcabd" * 3, b""]),
}
