"""Seed a believable LiteMaaS: `python seed`.

Reads LITELLM_API_URL, LITELLM_API_KEY (the master key), DATABASE_URL and LITEMAAS_DATABASE_URL (their owners') and STUB_URL (the
upstream that answers for every model). Says on stderr what it does; ends with one line of JSON on stdout:
{"seeded_on": "YYYY-MM-DD", "changed": true}. The same data for the same UTC day; a second run changes nothing; a run on a
later day adds the days between, moves the expiry dates along and lets some completions pass again.
"""

from __future__ import annotations

import json
import os
import sys
import time

import gateway
import history
import litemaas
import psycopg


def say(text: str) -> None:
    print(f"seed: {text}", file=sys.stderr, flush=True)


def main() -> None:
    environment = {name: os.environ.get(name, "") for name in
                   ("LITELLM_API_URL", "LITELLM_API_KEY", "DATABASE_URL", "LITEMAAS_DATABASE_URL", "STUB_URL")}  # fmt: skip
    if missing := [name for name, value in environment.items() if not value]:
        raise SystemExit(f"seed: set {', '.join(missing)}")
    started = time.monotonic()
    today = history.now().date()
    with (
        psycopg.connect(environment["DATABASE_URL"]) as litellm_database,
        psycopg.connect(environment["LITEMAAS_DATABASE_URL"]) as own_database,
    ):
        proxy = gateway.Gateway(environment["LITELLM_API_URL"], environment["LITELLM_API_KEY"], litellm_database)
        litemaas.create(own_database)
        new_day = litemaas.seeded_on(own_database) != today

        added = {"models": proxy.add_models(environment["STUB_URL"])}
        added |= {"users": proxy.add_users(), "teams": proxy.add_teams(), "keys": proxy.add_keys()}
        say("LiteLLM: added " + ", ".join(f"{count} {what}" for what, count in added.items()))
        rows = litemaas.fill(own_database, environment["STUB_URL"])
        say(f"LiteMaaS: added {rows} rows")
        dated = history.put_dates(litellm_database, today)
        if new_day:
            since, before = history.now(), history.booked(litellm_database)
            sent = proxy.complete()
            say(f"completions: {sent} passed through the proxy; waiting until it has written them")
            history.wait_for_flush(litellm_database, since, sent, before)
        logs = history.write(litellm_database, today)
        if new_day or logs:
            history.add_up_spend(litellm_database)
            say(f"history: {logs} requests written")
        litemaas.remember(own_database, today)
    changed = bool(new_day or rows or dated or logs or any(added.values()))
    say(f"{'done' if changed else 'nothing to do'} in {time.monotonic() - started:.1f} s")
    print(json.dumps({"seeded_on": today.isoformat(), "changed": changed}))


if __name__ == "__main__":
    main()
