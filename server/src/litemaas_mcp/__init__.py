"""The LiteMaaS MCP server: questions about models, users, spend, keys and pods, answered over Streamable HTTP."""

from importlib.metadata import version

__version__ = version("litemaas-mcp")
