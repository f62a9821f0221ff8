"""What of a log may be shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit


def end_of(log: str | Path, secrets: dict | None = None) -> str:
    """A sentence with the log's last 30 lines, without the secrets nor the passwords of those that are URLs."""
    text = "\n".join(Path(log).read_text(errors="replace").splitlines()[-30:])
    for value in map(str, (secrets or {}).values()):
        password = unquote(urlsplit(value).password or "") if "://" in value else ""
        for secret in filter(None, (value, password)):
            text = text.replace(secret, "********")
    return f"The end of {log}:\n{text}"
