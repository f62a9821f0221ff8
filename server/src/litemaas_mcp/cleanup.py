"""`litemaas-mcp cleanup-keys`: removes virtual keys that have expired."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from litemaas_mcp import durations
from litemaas_mcp.backends.litellm import LiteLLM
from litemaas_mcp.errors import Failure
from litemaas_mcp.settings import LiteLLMSettings


async def cleanup_keys(settings: LiteLLMSettings, expired_for: str, dry_run: bool) -> int:
    """Remove every key that expired at least that long ago, and print which.

    Args:
        expired_for: a duration such as 7d.
        dry_run: only print.

    Returns the exit code: 1 when LiteLLM could not be asked, 2 for a duration that is none.
    """
    try:
        before = datetime.now(UTC) - timedelta(seconds=durations.seconds(expired_for))
    except ValueError as error:
        print(f"cleanup-keys: --expired-for {error}", file=sys.stderr)
        return 2
    litellm = LiteLLM(settings)
    await litellm.start()
    try:
        expired = [key for key in await litellm.keys() if key.get("expires") and datetime.fromisoformat(key["expires"]) <= before]
        for key in expired:
            print(f"{'would remove' if dry_run else 'removing'} {key.get('key_alias') or key['token']}, expired {key['expires']}")
        if expired and not dry_run:
            await litellm.delete_keys([key["token"] for key in expired])
    except Failure as failure:
        print(f"cleanup-keys: {failure}", file=sys.stderr)
        return 1
    finally:
        await litellm.stop()
    print(f"{len(expired)} keys had expired by {before:%Y-%m-%d %H:%M} UTC{'' if dry_run or not expired else ' and are removed'}")
    return 0
