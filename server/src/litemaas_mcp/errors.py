"""The two errors that a caller may read; every other exception stays in the log."""

# What to tell of a write that broke off.
UNSURE = "Whether the change arrived is not known: call again with the same arguments to make sure."


class Failure(Exception):
    """Something the caller can act on. Its text names the field or the part that failed and the remedy; never a secret."""


class Unavailable(Failure):
    """A backend is down, refuses us, or did not answer in time. The call had no effect unless the text says otherwise."""
