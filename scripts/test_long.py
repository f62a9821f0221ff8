"""`make test-long`: what does not fit in `make test`, and its result in docs/test-long.md.

With the default LiteLLM the long tests; with RHDP's production version every test, long ones included. `python scripts/test_long.py 1.81.0`
repeats one of them and leaves the other's row. Exits with 1 when any test failed.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"1.106.2": "long", "1.81.0": "long or not long"}  # LiteLLM's version: pytest's selection
PAGE = ROOT / "docs" / "test-long.md"


def run(version: str) -> tuple[int, str]:
    """Run pytest; return its exit code and a row of the table."""
    selection, begun = RUNS[version], datetime.now(UTC)
    print(f"\nLiteLLM {version}: {selection}", flush=True)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-n", "2", "-m", selection, "--litellm-version", version, f"--junit-xml={report}"]
        code = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False).returncode
        minutes = (datetime.now(UTC) - begun).total_seconds() / 60
        suite = next(ElementTree.parse(report).iter("testsuite")).attrib if report.exists() else {}
    total, bad, skipped = (sum(int(suite.get(key, 0)) for key in keys) for keys in (("tests",), ("failures", "errors"), ("skipped",)))
    outcome = "passed" if code == 0 else f"failed (exit code {code})"
    ran = f"{begun:%Y-%m-%d %H:%M} | {commit}"
    return code, f"| {version} | `{selection}` | {ran} | {total} | {bad} | {skipped} | {minutes:.1f} min | {outcome} |"


def main() -> int:
    earlier = {row.split(" ")[1]: row for row in PAGE.read_text().splitlines() if row.startswith("| 1.")}
    wanted, code = sys.argv[1:] or list(RUNS), 0
    if unknown := set(wanted) - RUNS.keys():
        raise SystemExit(f"{', '.join(sorted(unknown))}: no version that is tested. There are {' and '.join(RUNS)}.")
    for version in wanted:
        failed, earlier[version] = run(version)
        code = code or int(failed != 0)
    rows = "\n".join(earlier[version] for version in RUNS if version in earlier)
    PAGE.write_text(f"""# The last long test run

Written by `make test-long`, with Python {platform.python_version()}. Times are UTC.

| LiteLLM | selection | begun | commit | tests | failed | skipped | took | outcome |
|---|---|---|---|---|---|---|---|---|
{rows}
""")
    print(PAGE.read_text())
    return code


if __name__ == "__main__":
    sys.exit(main())
