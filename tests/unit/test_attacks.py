"""The attacks themselves: there are enough of them, and each says what it tries to break."""

from __future__ import annotations

from arena import ATTACKS


def test_there_are_enough_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 40


def test_each_says_what_it_tries_to_break() -> None:
    for attack in ATTACKS:
        assert attack.invariant.endswith("."), attack.name
        assert attack.is_after_a_score or b"def f(host):" in attack.source, attack.name
