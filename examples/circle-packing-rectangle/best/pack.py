"""Circles in a rectangle: centers, and radii as large as they can be."""

import math


# EVOLVE-BLOCK-START
def place(count):
    """Return the centers: rows of circles, every other one shifted."""
    return [
        [0.1012759632020144, 0.10186861278176527],
        [0.3060748233851155, 0.1012384667700405],
        [0.507718286614143, 0.09896538694462166],
        [0.7145192806390956, 0.10266041298082669],
        [0.9191511608959075, 0.09880459117911108],
        [0.08153240828396092, 0.3030646667275061],
        [0.2551661134097475, 0.30050511846359484],
        [0.42045309788377405, 0.3049518015892711],
        [0.5851559447518083, 0.304687484969599],
        [0.7745422674351609, 0.302329402900226],
        [0.9424134190248743, 0.28853148672999],
        [0.10062194854037593, 0.4891690192177834],
        [0.2989431089033495, 0.48931595500342895],
        [0.49275133309713454, 0.5024198178531138],
        [0.6820149740230925, 0.47249584445638654],
        [0.8960396834527327, 0.48171451495702516],
        [0.10083396017023512, 0.6917764894451361],
        [0.3032266921259592, 0.6913807857720707],
        [0.4992740601896877, 0.6987953108225885],
        [0.7071335307211337, 0.680404024970456],
        [0.9200005422259938, 0.6957824838445432],
    ]


def grow(centers, rounds=30):
    """Raise all radii in turn to what their neighbours leave, more and more of it."""
    radii = [0.017097302723038964] * len(centers)
    for _ in range(rounds):
        for i, (x, y) in enumerate(centers):
            room = min(x, y, 1.039438948315184 - x, 0.8002206554186867 - y)
            for j, (u, v) in enumerate(centers):
                if i != j:
                    room = min(room, math.hypot(x - u, y - v) - radii[j])
            radii[i] += 0.3035519305045041 * (max(0.01059356031902512, room) - radii[i])
    return radii


# EVOLVE-BLOCK-END


def pack(count):
    centers = [(min(1.0, max(0.0, x)), min(1.0, max(0.0, y))) for x, y in place(count)]
    return centers, grow(centers)
