"""The command line: `litemaas-mcp serve | check | create-reader | probe-databases | cleanup-keys`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from litemaas_mcp import __version__, redaction, settings


def main() -> int:
    """Run the command that the arguments name; all else comes from the environment. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="litemaas-mcp", description=__doc__, epilog="Everything else is set by environment variables.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    server = commands.add_parser("serve", help="run the MCP server")
    server.add_argument(
        "--profile",
        choices=("litemaas", "litellm-admin"),
        default="litemaas",
        help="questions about a LiteMaaS, or the administration of any LiteLLM with each caller's own key (default: %(default)s)",
    )
    commands.add_parser("check", help="print what the server can reach and what not, with remedies")
    reader = commands.add_parser("create-reader", help="make the database role that may read only what the server reads")
    reader.add_argument("--role", default="litemaas_reader", help="name of the role (default: %(default)s)")
    prober = commands.add_parser("probe-databases", help="print whether the databases answer, and which holds LiteLLM's tables")
    prober.add_argument("--report", type=Path, metavar="FILE", help="where to write the answer too")
    clean = commands.add_parser("cleanup-keys", help="remove virtual keys that have expired")
    clean.add_argument("--expired-for", default="1d", help="how long ago a key must have expired (default: %(default)s)")
    clean.add_argument("--dry-run", action="store_true", help="print the keys, and remove none")
    arguments = parser.parse_args()
    try:
        # Imported by the command that needs it: a start should not wait for the others.
        if arguments.command == "create-reader":
            from litemaas_mcp import reader as creation

            return asyncio.run(creation.create_reader(arguments.role))
        if arguments.command == "probe-databases":
            from litemaas_mcp import probe

            return probe.probe(arguments.report)
        config = settings.load(_kind_of_settings(arguments))
        redaction.protect(config.secrets())
        redaction.configure_logging(config.log_level)
        if arguments.command == "cleanup-keys":
            from litemaas_mcp import cleanup

            return asyncio.run(cleanup.cleanup_keys(config, arguments.expired_for, arguments.dry_run))
        if arguments.command == "check":
            from litemaas_mcp import check

            return asyncio.run(check.check(config))
        from litemaas_mcp import serve

        serve.serve(config)
    except settings.SettingsError as error:
        print(f"litemaas-mcp can't start:\n{error}", file=sys.stderr)
        return 2
    return 0


def _kind_of_settings(arguments: argparse.Namespace) -> type[settings.CommonSettings]:
    if arguments.command == "cleanup-keys":
        return settings.LiteLLMSettings
    return settings.AdminSettings if arguments.command == "serve" and arguments.profile == "litellm-admin" else settings.Settings


if __name__ == "__main__":
    sys.exit(main())
