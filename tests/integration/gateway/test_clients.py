"""Clients' files, written by the playbook, and what real clients make of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import ROOT, Stack
from tests.integration.modules.conftest import LiteLLM, name
from tests.support.node import SOFTWARE, node_bin, npm_tool

CODEX, CLAUDE_CODE, OPENCLAW = "0.169.0", "2.1.329", "2026.9.6"
CLIENTS = ("claude_code", "codex", "vscode", "openclaw", "open_webui")
FILES = (".claude.json", ".codex/config.toml", ".config/Code/User/mcp.json", ".openclaw/openclaw.json", "open-webui.env")


@dataclass
class Home:
    """A person's home, with the keys in the environment."""

    folder: Path
    stack: Stack
    key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LITE", "CODEX_", "CLAUDE"))}
        home = {"HOME": str(self.folder), "PWD": str(self.folder), "LC_ALL": "C.UTF-8", "PATH": f"{node_bin()}:{os.environ['PATH']}"}
        addresses = {"LITELLM_API_URL": self.stack.litellm_url, "LITEMAAS_MCP_URL": self.stack.mcp_url}
        return clean | home | addresses | {"LITELLM_API_KEY": self.key, "LITEMAAS_MCP_API_KEY": self.stack.mcp_token}

    def run(self, *command: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run a command at home. No key is in what it says."""
        given = {name: value for name, value in (self.environment | environment).items() if value is not None}
        nothing = subprocess.DEVNULL
        done = subprocess.run(command, cwd=self.folder, env=given, stdin=nothing, capture_output=True, text=True, timeout=120, check=False)
        said = done.stdout + done.stderr
        assert [key for key in (self.key, self.stack.mcp_token) if key in said] == []
        return done

    def playbook(self, *arguments: str, **environment: str | None) -> tuple[int, str]:
        done = self._play("-vvv", "--diff", *arguments, **environment)
        return done.returncode, done.stdout + done.stderr

    def printed(self, **environment: str) -> dict[str, str]:
        """What a person takes from the screen to paste it, by client."""
        done = self._play(**environment)
        assert done.returncode == 0, done.stderr
        return dict(re.findall(r"^ok: \[localhost\] => \(item=(\w+), [^\n]*:\n\n(.*?)^\)$", done.stdout, re.MULTILINE | re.DOTALL))

    def _play(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        (self.folder / "ansible.cfg").touch()
        ansible = {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv/ansible/collections")}
        return self.run(sys.executable, "-m", "ansible", "playbook", "rhpds.litemaas.client_config", *arguments, **ansible, **environment)

    def write(self) -> int:
        """Write every file; return how many tasks changed something."""
        code, said = self.playbook("-e", "litemaas_write=true")
        assert code == 0, said
        return int(re.search(r"changed=(\d+)", said)[1])


@pytest.fixture
def home(stack: Stack, tmp_path: Path) -> Iterator[Home]:
    litellm = LiteLLM(stack)
    alias = name("s").replace("-", "_")
    secret = {"auth_type": "bearer_token", "credentials": {"auth_value": stack.mcp_token}}
    litellm.post("/v1/mcp/server", server_id=alias, server_name=alias, alias=alias, url=stack.mcp_url, transport="http", **secret)
    key = litellm.post("/key/generate", key_alias=name("key"), object_permission={"mcp_servers": [alias]})["key"]
    litellm.later("/key/delete", keys=[key])
    yield Home(tmp_path, stack, key)
    litellm.http.delete(f"/v1/mcp/server/{alias}")
    litellm.clean()


def test_files_are_written_once_kept_private_and_merged(home: Home):
    secret = "not-to-be-shown"
    (home.folder / ".codex").mkdir()
    (home.folder / ".codex/config.toml").write_text(f'secret = "{secret}"\n')
    (home.folder / ".claude.json").write_text(json.dumps({"oauth": secret, "mcpServers": {"mine": {"command": "mine"}}}))
    before = (home.folder / ".claude.json").read_text()
    code, said = home.playbook("-e", "litemaas_write=true", "-e", "litemaas_clients=claude_code", "--check")
    assert (code, "changed=1" in said, secret in said) == (0, True, False)
    assert (home.folder / ".claude.json").read_text() == before
    assert home.write() > 0
    assert home.write() == 0
    for file in FILES:
        assert (home.folder / file).stat().st_mode & 0o777 == 0o600, file
        assert (home.key in (home.folder / file).read_text()) is (file == "open-webui.env")
    assert (home.folder / ".codex/config.toml").read_text().startswith(f'secret = "{secret}"\n')
    claude = json.loads((home.folder / ".claude.json").read_text())
    assert (claude["oauth"], sorted(claude["mcpServers"])) == (secret, ["litellm", "litemaas", "mine"])


def test_it_prints_by_default_and_says_what_it_lacks(home: Home):
    code, said = home.playbook()
    assert code == 0
    assert "changed=0" in said
    assert [
        word for word in ("claude mcp add", "mcpServers", "[mcp_servers.litellm]", "streamable-http", "TOOL_SERVER_") if word not in said
    ] == []
    assert [file for file in FILES if (home.folder / file).exists()] == []
    code, said = home.playbook("-e", "litemaas_write=true", "-e", "litemaas_clients=open_webui", LITELLM_API_KEY=None)
    assert (code, "set the environment variables LITELLM_API_KEY and LITEMAAS_MCP_API_KEY" in said) == (2, True)
    code, said = home.playbook("-e", "litemaas_write=true", "-e", "litemaas_clients=codex,emacs")
    assert (code, "litemaas_clients: emacs has no file. Files can be written for claude_code, codex," in said) == (2, True)
    code, said = home.playbook(LITELLM_API_URL=None, LITEMAAS_MCP_URL=None)
    assert (code, "Set the environment variable LITELLM_API_URL" in said) == (2, True)


def test_the_printed_curl_reaches_both_servers(home: Home):
    done = home.run("bash", "-c", home.printed()["curl"])
    assert done.stdout.count('"serverInfo"') == 2, done.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_is_printed_is_what_is_written_whatever_form_ansible_gives_results(home: Home, form: str):
    printed = home.printed(ANSIBLE_CALLBACK_RESULT_FORMAT=form)
    home.write()
    for client, file in zip(CLIENTS, FILES, strict=True):
        written = (home.folder / file).read_text()
        for key, variable in ((home.key, "$LITELLM_API_KEY"), (home.stack.mcp_token, "$LITEMAAS_MCP_API_KEY")):
            written = written.replace(key, variable)
        assert printed[client] == written


@pytest.mark.long
def test_claude_code_codex_and_openclaw_take_the_files_and_connect(home: Home):
    home.write()
    npm_tool("@anthropic-ai/claude-code", CLAUDE_CODE, "claude")
    [claude] = (SOFTWARE / f"claude-code-{CLAUDE_CODE}/node_modules/@anthropic-ai").glob("claude-code-*/claude")
    said = home.run(str(claude), "mcp", "list").stdout
    assert re.findall(r"^(\w+): .* Connected$", said, re.MULTILINE) == ["litellm", "litemaas"]

    codex = npm_tool("@openai/codex", CODEX, "codex")
    for server, variable in (("litellm", "LITELLM_API_KEY"), ("litemaas", "LITEMAAS_MCP_API_KEY")):
        found = json.loads(home.run(*codex, "mcp", "get", server, "--json").stdout)
        assert found["transport"]["type"] == "streamable_http"
        assert found["transport"]["bearer_token_env_var"] == variable

    openclaw = npm_tool("openclaw", OPENCLAW, "openclaw")
    done = home.run(*openclaw, "mcp", "doctor", "--probe")
    assert (done.returncode, "error" in done.stdout) == (0, False), done.stdout


@pytest.mark.long
def test_the_printed_command_adds_what_the_file_would_hold(home: Home):
    npm_tool("@anthropic-ai/claude-code", CLAUDE_CODE, "claude")
    [claude] = (SOFTWARE / f"claude-code-{CLAUDE_CODE}/node_modules/@anthropic-ai").glob("claude-code-*/claude")
    for command in home.printed()["claude_code_command"].splitlines():
        program, *arguments = shlex.split(command)
        assert program == "claude"
        assert home.run(str(claude), *arguments).returncode == 0
    added = json.loads((home.folder / ".claude.json").read_text())["mcpServers"]
    home.write()
    assert json.loads((home.folder / ".claude.json").read_text())["mcpServers"] == added
