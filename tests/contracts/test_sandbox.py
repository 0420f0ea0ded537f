"""The contract on each tier of the local sandbox, and what only the local one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sandbox_contract import SandboxContract

from evolver.sandboxes import LocalSandbox, SandboxSettings, lacks
from evolver.types import Files


class LocalContract(SandboxContract):
    tier = ""

    @classmethod
    def make(
        cls, settings: SandboxSettings, *, base: Files | None = None, guest: Files | None = None
    ) -> Any:
        settings = replace(settings, allow_unisolated=True)
        return LocalSandbox(settings, base=base, guest=guest, tier=cls.tier)


class TestNamespaces(LocalContract):
    tier = "A"


class TestLandlock(LocalContract):
    tier = "B"


class TestPlain(LocalContract):
    tier = "C"
    confines_files = False
    confines_network = False
    confines_signals = False


def absent(reason: str) -> Callable[[], None]:
    """Stand for all tests of a tier that this host lacks: one line in the report, not seventy."""

    @pytest.mark.skip(reason=reason)
    def test() -> None: ...

    return test


for contract in (TestNamespaces, TestLandlock, TestPlain):
    if missing := lacks(contract.tier):
        globals()[f"test_tier_{contract.tier}"] = absent("; ".join(missing))
        del globals()[contract.__name__]

del SandboxContract, LocalContract, contract  # or they would be collected themselves
