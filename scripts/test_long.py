"""`make test-long`: what does not fit in `make test`, and its result in docs/test-long.md.

With the default LiteLLM the long tests; with RHDP's production version every test, long ones included.
Exits with 1 when any test failed.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"1.106.2": "long", "1.81.0": "long or not long"}  # LiteLLM's version: pytest's selection
PAGE = ROOT / "docs" / "test-long.md"


def run(version: str, selection: str) -> tuple[int, str]:
    """Run pytest; return its exit code and a row of the table."""
    print(f"\nLiteLLM {version}: {selection}", flush=True)
    with TemporaryDirectory() as folder:
        report, started = Path(folder, "report.xml"), time.monotonic()
        options = ["-n", "2", "-m", selection, "--litellm-version", version, f"--junit-xml={report}"]
        code = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False).returncode
        minutes = (time.monotonic() - started) / 60
        suite = next(ElementTree.parse(report).iter("testsuite")).attrib if report.exists() else {}
    total, bad, skipped = (sum(int(suite.get(key, 0)) for key in keys) for keys in (("tests",), ("failures", "errors"), ("skipped",)))
    outcome = "passed" if code == 0 else f"failed (exit code {code})"
    return code, f"| {version} | `{selection}` | {total} | {bad} | {skipped} | {minutes:.1f} min | {outcome} |"


def main() -> int:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False, capture_output=True, text=True
    ).stdout.strip()
    codes, rows = zip(*(run(*each) for each in RUNS.items()), strict=True)
    PAGE.write_text(f"""# The last long test run

Written by `make test-long` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC at commit {commit or "unknown"}, Python {platform.python_version()}.

| LiteLLM | selection | tests | failed | skipped | took | outcome |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
""")
    print(PAGE.read_text())
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
