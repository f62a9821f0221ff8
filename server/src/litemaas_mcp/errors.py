"""The two errors that a caller may read; every other exception stays in the log."""

from __future__ import annotations

from typing import Any

# What to tell of a write that broke off, and, where repeating it does no harm, the remedy.
UNSURE = "Whether the change arrived is not known."
AGAIN = "Call again with the same arguments to make sure."


class Failure(Exception):
    """Something the caller can act on. Its text names the field or the part that failed and the remedy; never a secret.

    Attributes:
        status: the HTTP status that says the same.
        detail: the body of the other system's answer, if it had one.
    """

    def __init__(self, text: str, status: int = 400, detail: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status, self.detail = status, detail


class Unavailable(Failure):
    """A backend is down, refuses us, or did not answer in time. The call had no effect unless the text says otherwise."""

    def __init__(self, text: str, status: int = 503, detail: dict[str, Any] | None = None) -> None:
        super().__init__(text, status, detail)


class Unsure(Unavailable):
    """A write broke off. Its text ends with `UNSURE`; how to make sure, the tool knows that made it."""
