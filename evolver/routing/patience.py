"""The retries of one request: which endpoint is asked next, and when the request is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from evolver.errors import ModelUnavailable, ProposalError
from evolver.routing.endpoint import Endpoint


class Patience:
    """Counts how often a request got no answer, and where.

    If a run has several models, a request that fails at one goes to the others at once. If all
    failed, it is sent again after a pause, and after the retries the endpoint counts as down.
    """

    def __init__(
        self, own: Endpoint, stand_in: Callable[[Endpoint, Collection[Endpoint]], Endpoint]
    ) -> None:
        """Begin with a request that has not been sent.

        Args:
            own: the endpoint that the attempt is to ask.
            stand_in: returns the endpoint to ask in place of one, some others excluded.
        """
        self._own = own
        self._stand_in = stand_in
        self._failures = 0
        self._failed: set[Endpoint] = set()  # since the last pause
        self._first: dict[Endpoint, int] = {}  # its answers before this request
        self._before = 0

    def endpoint(self) -> Endpoint:
        """Return the endpoint to ask now."""
        endpoint = self._stand_in(self._own, self._failed)
        self._before = endpoint.answered
        self._first.setdefault(endpoint, self._before)
        return endpoint

    async def wait(self, endpoint: Endpoint, error: ModelUnavailable) -> None:
        """Wait before the next try, unless another endpoint can be asked at once.

        Raises:
            ProposalError: this request failed again and again while others were answered.
        """
        if not error.is_limit:
            self._failed.add(endpoint)
            if self._stand_in(self._own, self._failed) not in self._failed:
                endpoint.fail(error)
                return
        self._failed.clear()
        self._failures += 1
        retries = self._own.terms.retries
        is_back = self._failures > 2 * retries + 1  # a pause did not help
        if self._failures % (retries + 1):
            await asyncio.sleep(endpoint.backoff(self._failures % (retries + 1), error))
        elif endpoint.answered > (self._first[endpoint] if is_back else self._before):
            raise ProposalError(f"{error} ({self._failures} tries)") from error
        else:
            endpoint.pause(error)
