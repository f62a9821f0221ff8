#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MCP servers behind LiteLLM's gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_mcp_server
short_description: Manage the MCP servers behind LiteLLM's gateway
version_added: 0.4.0
description:
  - Registers MCP servers with LiteLLM, whose gateway then offers their tools, each as C(<alias>-<tool>), to the keys that may use them.
  - One server is described by the module's options, several in one task by O(servers).
  - A server gets an id that follows from its name, so that keys and teams can be granted it by M(rhpds.litemaas.litellm_key) and
    M(rhpds.litemaas.litellm_team) (C(object_permission.mcp_servers)) before or after it is registered. A server that somebody else
    registered under the name, such as in LiteLLM's own pages, is managed with the id that it has.
  - An option that is left out stays as it is; so does an entry inside O(mcp_info), O(static_headers) and O(env), where an entry that
    is V(null) is removed.
  - Servers of LiteLLM's configuration file can be seen, not changed.
  - A server that is removed is taken from the keys and teams that were granted it, so that a later one of the same name is not theirs.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  servers:
    description:
      - Several servers, one after the other. Each entry has the options that follow.
      - A fault in one entry ends the task. The message names the entry, and C(servers) what was done before.
    type: list
    elements: dict
    suboptions: &server
      server_name:
        description:
          - The server's name, of letters, digits and C(_). LiteLLM refuses C(-), which separates a server from its tool.
          - It may be left out when O(server_id) is that of a server that exists; otherwise it renames that server.
        type: str
      server_id:
        description: The server's id. Without it, it follows from O(server_name), or is that of the server which has the name.
        type: str
      alias:
        description: What stands before the names of its tools, of letters, digits and C(_). Without it, LiteLLM takes O(server_name).
        type: str
      description:
        description: What the server is for. An empty text clears it.
        type: str
      server_url:
        description:
          - Where LiteLLM reaches the server, such as V(http://fetch.mcp.svc:8080/mcp); LiteLLM's own C(url) of the server. Needed unless
            O(transport) is V(stdio).
          - A URL that holds a password or a key (C(?token=)) is compared, but not shown.
        type: str
      transport:
        description:
          - How LiteLLM speaks with the server. A new server is V(stdio) when O(command) is given, else V(http).
          - V(http) is streamable HTTP; V(sse) is the older protocol.
          - V(stdio) runs O(command) inside LiteLLM's own container. LiteLLM 1.106 refuses it unless C(LITELLM_ENABLE_MCP_STDIO=true) is
            in its environment; 1.81 allows it to every administrator. Prefer a container of its own behind a bridge.
        type: str
        choices: [http, sse, stdio]
      auth_type:
        description:
          - How LiteLLM shows itself to the server. LiteLLM 1.81 knows V(none), V(api_key), V(bearer_token), V(basic), V(authorization)
            and V(oauth2) only.
          - With V(api_key), V(bearer_token) and V(basic), V(token) or V(authorization), O(credentials) hold C(auth_value). V(oauth2) and
            what begins so take C(client_id), C(client_secret) and C(scopes); V(aws_sigv4) the names that begin with C(aws_).
          - V(true_passthrough) and V(oauth_delegate) send what the caller shows.
        type: str
        choices:
          - none
          - api_key
          - bearer_token
          - basic
          - authorization
          - token
          - oauth2
          - oauth2_token_exchange
          - oauth2_id_jag
          - aws_sigv4
          - true_passthrough
          - oauth_delegate
      credentials:
        description:
          - What O(auth_type) needs, by LiteLLM's names, such as C(auth_value), C(client_id), C(client_secret), C(scopes),
            C(aws_access_key_id), C(aws_secret_access_key) and C(aws_region_name). LiteLLM does not give them back; see O(update_secret).
          - LiteLLM 1.106 keeps a credential that is left out, 1.81 does not. Give all of them.
        type: dict
      authentication_token:
        description: Short for O(credentials) with C(auth_value), the name that LiteLLM's configuration file has for it.
        type: str
      static_headers:
        description:
          - Headers that LiteLLM sends with every request. Their values are compared, but not shown.
        type: dict
      extra_headers:
        description:
          - Names of headers that LiteLLM passes on from the caller. An empty list clears them.
          - C(Authorization) is the caller's LiteLLM key, unless that comes in C(x-litellm-api-key), so the module warns of it. LiteLLM
            1.106 takes the key out, but not where a model calls the tool. It is for servers that want a token of the caller's own.
          - C(x-litellm-api-key) is refused.
        type: list
        elements: str
      allowed_tools:
        description: The tools that are offered, by the server's own names for them. An empty list offers all.
        type: list
        elements: str
      mcp_access_groups:
        description: The access groups that the server belongs to; keys and teams can be granted groups. An empty list clears them.
        type: list
        elements: str
      allow_all_keys:
        description: Whether every key may use the server, without a grant.
        type: bool
      mcp_info:
        description:
          - Further facts, which LiteLLM shows to those who may use the server, such as V(logo_url).
          - C(mcp_server_cost_info) is what a call costs, in US dollars. C(default_cost_per_query) is for every tool,
            C(tool_name_to_cost_per_query) for single ones, by the server's own names for them.
        type: dict
      command:
        description: The program that V(stdio) runs. LiteLLM 1.106 allows npx, uvx, python, python3, node, docker and deno.
        type: str
      args:
        description: The program's arguments, one or more. An argument that holds a password or a key in a URL is not shown.
        type: list
        elements: str
      env:
        description: The program's environment. Values are compared, but not shown.
        type: dict
      authorization_url:
        description: Where users sign in, for V(oauth2). An empty text clears it. LiteLLM finds it by itself where the server tells.
        type: str
      token_url:
        description: Where LiteLLM gets tokens, for V(oauth2). An empty text clears it.
        type: str
      registration_url:
        description: Where clients are registered, for V(oauth2). An empty text clears it.
        type: str
      oauth2_flow:
        description:
          - How LiteLLM gets a token, for V(oauth2). A new server has V(client_credentials) when O(token_url) and a client with its
            secret are given and O(authorization_url) is not, else V(authorization_code). Not in LiteLLM 1.81.
        type: str
        choices: [client_credentials, authorization_code]
      issuer:
        description:
          - Who issues the tokens, for V(oauth2). Not in LiteLLM 1.81.
          - An empty text clears it. LiteLLM 1.106 goes on listing it until it is restarted, which fails the task, unless O(server_url)
            changes too.
        type: str
      token_exchange_endpoint:
        description: Where LiteLLM exchanges the caller's token, for V(oauth2_token_exchange). An empty text clears it. Not in LiteLLM 1.81.
        type: str
      audience:
        description: Whom the exchanged token is for. An empty text clears it. Not in LiteLLM 1.81.
        type: str
      subject_token_type:
        description: What kind of token the caller's is, as a URN; empty, or null in results, for an access token. Not in LiteLLM 1.81.
        type: str
      token_exchange_profile:
        description: V(entra_obo) for Microsoft Entra; empty, or null in results, for LiteLLM's default V(rfc8693). Not in LiteLLM 1.81.
        type: str
      update_secret:
        description:
          - When O(credentials) are sent. V(on_create) sends them with a new server, and with a change of O(auth_type), O(server_url)
            or O(issuer).
          - V(always) sends them in every run, which is a change in every run, since LiteLLM can't be asked whether they differ.
        type: str
        choices: [on_create, always]
        default: on_create
      state:
        description:
          - Whether the server is registered.
          - V(absent) also takes it from the keys and teams that were granted it by its id, alias or name, even when the server is gone
            already. Where nothing is left of what a team, or a key of a team or organization, may use, C(no-mcp-servers) takes its
            place, since LiteLLM takes an empty list for everything that the team or organization may use. Grants to users,
            organizations and toolsets stay.
        type: str
        choices: [present, absent]
        default: present
  <<: *server
notes:
  - When O(server_url), O(auth_type) or O(issuer) changes, LiteLLM 1.106 clears what OAuth needs and the task does not give of
    O(authorization_url), O(token_url), O(registration_url), O(oauth2_flow), O(issuer), O(token_exchange_endpoint), O(audience),
    O(subject_token_type) and O(token_exchange_profile). Of O(credentials), it clears all when O(auth_type) changes; otherwise the client
    of V(oauth2), if the issuer is new or not known. Give all of them with the change.
  - LiteLLM 1.81 takes ids only in C(object_permission), neither aliases nor names, and may go on for a minute with what a key could use
    before.
  - When several LiteLLM 1.81 processes share a database, each takes up to 30 seconds to learn of a change. The module waits up to 40
    seconds until the one that answers has it.
seealso:
  - module: rhpds.litemaas.litellm_mcp_server_info
  - module: rhpds.litemaas.litellm_mcp_tool_info
  - module: rhpds.litemaas.litellm_key
  - module: rhpds.litemaas.litellm_team
"""

EXAMPLES = r"""
- name: Register a server, and let the keys of the lab use it
  rhpds.litemaas.litellm_mcp_server:
    server_name: fetch
    alias: web
    server_url: http://fetch.mcp.svc:8080/mcp
    description: Gets pages of the web
    mcp_access_groups: [lab]
    mcp_info:
      mcp_server_cost_info:
        default_cost_per_query: 0.001

- name: A key for it alone
  rhpds.litemaas.litellm_key:
    key_alias: reader
    object_permission:
      mcp_access_groups: [lab]

- name: Several, with their secrets
  rhpds.litemaas.litellm_mcp_server:
    servers:
      - server_name: github
        alias: gh
        server_url: https://api.githubcopilot.com/mcp/
        auth_type: bearer_token
        authentication_token: "{{ github_token }}"
        allowed_tools: [search_repositories, get_file_contents]
      - server_name: litemaas
        server_url: https://litemaas-mcp.apps.example.com/mcp
        static_headers:
          Authorization: "Bearer {{ litemaas_mcp_token }}"

- name: Remove one, and whoever may use it
  rhpds.litemaas.litellm_mcp_server:
    server_name: fetch
    state: absent
"""

RETURN = r"""
server_id:
  description: The server's id, by which keys and teams are granted it.
  returned: success, without O(servers)
  type: str
  sample: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
before:
  description: The server as it was; null when there was none.
  returned: success, without O(servers)
  type: dict
  contains: &contains
    server_id:
      description: Its id.
      type: str
      returned: always
    secrets_sent:
      description: The names of the secrets that this run sends, such as V(credentials.auth_value). Empty in C(before).
      type: list
      elements: str
      returned: always
    server_name:
      description: Its name. So are the other options, from C(alias) to C(token_exchange_profile); secrets are V(***).
      type: str
      returned: always
  sample: &sample
    server_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
    secrets_sent: []
    server_name: fetch
    alias: web
    server_url: http://fetch.mcp.svc:8080/mcp
    transport: http
    auth_type: none
    allow_all_keys: false
after:
  description: The server as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success, without O(servers)
  type: dict
  contains: *contains
  sample: *sample
grants_removed:
  description: The keys and teams that could use the server which is removed. Empty otherwise.
  returned: success, without O(servers)
  type: list
  elements: dict
  contains:
    kind:
      description: V(key) or V(team).
      type: str
      returned: always
    id:
      description: The key's hash, or the team's id.
      type: str
      returned: always
    alias:
      description: The key's or the team's alias, if it has one.
      type: str
      returned: always
  sample:
    - {kind: key, id: 88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b, alias: reader}
servers:
  description: With O(servers), what the module returns of each, in their order; and whether it C(changed).
  returned: success or failure, with O(servers)
  type: list
  elements: dict
  sample:
    - {server_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e, changed: true, before: null, after: *sample, grants_removed: []}
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import CONNECTION, connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import spec_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import only_administrators
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import (
    FIELDS,
    SECRET,
    Grants,
    Listing,
    info_of,
    masked,
    named,
    names_of,
    server_id_of,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import HIDDEN, is_secret
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource

RELOAD = 40  # seconds until every LiteLLM process has read its database again; they do it each 30 s
SHORT = 6  # characters: a secret below that would be found in too much else
PUBLIC = ("scopes", "aws_region_name", "aws_service_name")  # of the credentials
# What LiteLLM 1.81 sets back when an update leaves it out.
FORGOTTEN = ("alias", "server_url", "transport", "command", "args", "env", "mcp_access_groups", "allow_all_keys")
# When one of these changes, LiteLLM 1.106 forgets all of those, and the client of oauth2, even if they are sent with the change.
UPSTREAM = ("server_url", "auth_type", "issuer")
OAUTH = (
    "authorization_url",
    "token_url",
    "registration_url",
    "oauth2_flow",
    "issuer",
    "token_exchange_endpoint",
    "audience",
    "subject_token_type",
    "token_exchange_profile",
)


class Server(Resource):
    kind = "MCP server"
    identity = ("server_id", "secrets_sent")
    fields = FIELDS
    options = {
        "server_id": {"type": "str"},
        "credentials": {"type": "dict", "no_log": True},
        "authentication_token": {"type": "str", "no_log": True},
        "update_secret": {"type": "str", "no_log": False, "choices": ["on_create", "always"], "default": "on_create"},
        "state": PRESENCE,
    }

    def __init__(self, client: Client, parameters: dict[str, Any], listing: Listing, grants: Grants) -> None:
        super().__init__(client, parameters)
        self.listing = listing
        self.grants = grants
        self.absent = parameters["state"] == "absent"
        self.credentials = {name: value for name, value in (parameters["credentials"] or {}).items() if value is not None}
        if parameters["authentication_token"]:
            self.credentials["auth_value"] = parameters["authentication_token"]
        self.server_id = parameters["server_id"]
        self.label = self.wanted.get("server_name") or self.server_id
        if self.server_id is not None and not self.server_id.strip():
            raise LiteLLMError("server_id: must not be empty.")
        if self.server_id is None and "server_name" not in self.wanted:
            raise LiteLLMError("server_name: is needed, or the server_id of a server that exists.")
        self.place = ""  # in a list, what begins a message
        self.sent: list[str] = []  # the secrets that were

    def ensure(self, check_mode: bool = False) -> dict[str, Any]:
        result = super().ensure(check_mode)
        return {"server_id": self.server_id, "grants_removed": [], **result}

    def find(self) -> dict[str, Any] | None:
        record = self.read()
        if not self.absent:
            self._check_names(record)
            if record is None:
                self._check_new()
        if record is not None and not record["stored"] and (self.absent or self.differs(record) or self.extra(record)):
            raise LiteLLMError(
                f"{record['server_name'] or record['server_id']} comes from LiteLLM's configuration file (mcp_servers), where alone it can "
                "be changed. To manage it with this module, take it out there."
            )
        return record

    def reread(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what LiteLLM answered to the write; `served` looks for it in its list."""
        return self.read()

    def read(self) -> dict[str, Any] | None:
        """Return the server that the task means: that of its id, else of its name."""
        name = self.wanted.get("server_name")
        if self.server_id is None:
            found = [server for server in self.listing.servers if server["server_name"] == name]
            if len(found) > 1:
                raise LiteLLMError(f"server_name: LiteLLM has several servers called {name}: {named(found)}. Give the server_id of one.")
            self.server_id = found[0]["server_id"] if found else server_id_of(name)
        found = [server for server in self.listing.servers if server["server_id"] == self.server_id]
        return {**found[0], "secrets_sent": self.sent} if found else None

    def served(self) -> bool:
        """Whether the LiteLLM process that answers has what was written."""
        record = self.read()
        return record is None if self.absent else record is not None and not self.differs(record)

    def named(self) -> dict[str, Any]:
        return {"server_id": self.server_id, "secrets_sent": self._secrets(None)}

    def inherited(self) -> dict[str, Any]:
        return {"alias": self.wanted.get("server_name"), "transport": "stdio" if "command" in self.wanted else "http"}

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        secrets = self._secrets(record)
        return {"secrets_sent": secrets} if secrets else {}

    def predicted(self, before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        forgotten = [name for name in OAUTH if name not in self.wanted] if self._forgets(self.read()) else []
        return super().predicted(before, changes) | dict.fromkeys(forgotten)

    def create(self, values: dict[str, Any]) -> None:
        self.sent = self._secrets(None)
        self._write(self.client.post, {"server_id": self.server_id, "transport": self.inherited()["transport"], **values})

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        self.sent = changes.get("secrets_sent", [])
        # 1.106, which says where a server is from, changes what is sent; 1.81 sets back what is not.
        kept = {} if "is_config" in record else {name: record[name] for name in FORGOTTEN if record[name] is not None}
        body = {"server_id": self.server_id, **kept, **{name: value for name, value in changes.items() if name != "secrets_sent"}}
        if {"server_name", "description"} & set(changes):  # a copy in mcp_info would be shown in their place
            body.setdefault("mcp_info", info_of(record["mcp_info"] or {}))
        self._write(self.client.put, body)
        if self._forgets(record):
            for __ in range(2):  # an issuer that is sent again makes LiteLLM forget the rest once more
                now = self.read()
                lost = [field for field in self._given() if not field.same(field.held(now), self.wanted[field.name])]
                values = {field.name: field.sent(field.held(now), self.wanted[field.name]) for field in lost}
                self._write(self.client.put, {"server_id": self.server_id, **values})

    def delete(self, record: dict[str, Any]) -> None:
        self.client.delete(f"/v1/mcp/server/{quote(self.server_id, safe='')}")
        self.listing.put(self.server_id, None)

    def _absent(self, record: dict[str, Any] | None, check_mode: bool) -> dict[str, Any]:
        """Take the server from whoever was granted it, and then remove it: a grant of nothing never is."""
        names = {self.server_id, *(names_of(record) if record else (self.wanted.get("server_name"), self.wanted.get("alias")))}
        names -= {None} | {name for other in self._others() for name in names_of(other)}
        holders = self.grants.of(names)
        if not check_mode:
            for holder in holders:
                self.grants.remove(holder, names)
        result = super()._absent(record, check_mode)
        if check_mode and record is not None:
            self.listing.put(self.server_id, None)  # a later entry of the list may take its name
        return {**result, "changed": result["changed"] or bool(holders), "grants_removed": [holder["shown"] for holder in holders]}

    def _others(self) -> list[dict[str, Any]]:
        return [server for server in self.listing.servers if server["server_id"] != self.server_id]

    def _check_names(self, record: dict[str, Any] | None) -> None:
        """LiteLLM 1.81 lets several servers have a name, and then mixes up their tools."""
        for field in ("server_name", "alias"):
            name = self.wanted.get(field)
            if name is None or (record and record[field] == name):
                continue
            for other in self._others():
                if name.lower() in {text.lower() for text in names_of(other)}:
                    raise LiteLLMError(
                        f"{field}: {name} is a name or alias of {named([other])} already. Give another one, or its server_id."
                    )

    def _check_new(self) -> None:
        if "server_name" not in self.wanted:
            raise LiteLLMError(f"server_name: is needed, since LiteLLM has no MCP server with the id {self.server_id}.")
        transport = self.wanted.get("transport", self.inherited()["transport"])
        for name in ("command", "args") if transport == "stdio" else ("server_url",):
            if not self.wanted.get(name):
                raise LiteLLMError(f"{name}: is needed for a server whose transport is {transport}.")

    def _secrets(self, record: dict[str, Any] | None) -> list[str]:
        """Name the secrets that a run sends to make a server (None) what the task wants."""
        names = [
            f"{option}.{name}"
            for option in SECRET
            for name, value in self.wanted.get(option, {}).items()
            if value is not None and (record is None or (record[option] or {}).get(name) != value)
        ]
        if record is None or self._moves(record) or self.parameters["update_secret"] == "always":
            names += [f"credentials.{name}" for name in self.credentials]
        return sorted(names)

    def _forgets(self, record: dict[str, Any]) -> bool:
        """Whether the change is one at which LiteLLM forgets what OAuth needs."""
        return "is_config" in record and self._moves(record)

    def _moves(self, record: dict[str, Any]) -> bool:
        return any(field.name in UPSTREAM and not field.same(field.held(record), self.wanted[field.name]) for field in self._given())

    def differs(self, record: dict[str, Any]) -> bool:
        return any(not field.same(field.held(record), self.wanted[field.name]) for field in self._given())

    def _write(self, write: Callable[..., Any], body: dict[str, Any]) -> None:
        if any(name.startswith("credentials.") for name in self.sent):
            body["credentials"] = self.credentials
        if "server_url" in body:
            body["url"] = body.pop("server_url")
        self.listing.put(self.server_id, write("/v1/mcp/server", body))


def ensure_all(servers: list[Server], check_mode: bool, done: list[dict[str, Any]]) -> None:
    """Make LiteLLM hold the servers, and add to `done` what to return of each."""
    for server in servers:
        try:
            done.append(server.ensure(check_mode))
        except LiteLLMError as error:
            changed = error.facts.get("changed", False) or any(each["changed"] for each in done)
            raise LiteLLMError(f"{server.place}{error}", **{**error.facts, "changed": changed}) from None
    awaited = [server for server, each in zip(servers, done) if each["changed"] and not check_mode]
    end = time.monotonic() + RELOAD
    while awaited:
        awaited[0].listing.forget()
        awaited = [server for server in awaited if not server.served()]
        if awaited and time.monotonic() > end:
            names = ", ".join(server.label for server in awaited)
            raise LiteLLMError(f"LiteLLM took {names}, but {RELOAD} s later does not list it so. Its log may say why.", changed=True)
        if awaited:
            time.sleep(1)


def described(parameters: list[dict[str, Any]], client: Client) -> list[Server]:
    """Return the servers that a list describes. Raises LiteLLMError, before anything is changed, when one of them can't be right."""
    listing, grants, servers = Listing(client), Grants(client), []
    for number, each in enumerate(parameters, 1):
        try:
            servers.append(Server(client, each, listing, grants))
        except LiteLLMError as error:
            name = each["server_name"] or each["server_id"] or "without a name"
            raise LiteLLMError(f"servers, entry {number} ({name}): {error}") from None
    labels = [server.label for server in servers]
    for server in servers:
        server.place = f"servers, {server.label}: "
        if labels.count(server.label) > 1:
            raise LiteLLMError(f"servers: {server.label} is there twice.")
    return servers


def hidden(module: AnsibleModule) -> list[dict[str, Any]]:
    """Return the module's options and the entries of its list, and leave none of their secrets where Ansible shows options."""
    entries = [module.params, *(module.params["servers"] or [])]
    real = [{**entry} for entry in entries]
    for entry in entries:
        given = [text for option in (*SECRET, "credentials") for text in (entry[option] or {}).values()]
        parts = [(entry["credentials"] or {}).get(name) or [] for name in PUBLIC]
        public = {str(word) for part in parts for word in (part if isinstance(part, list) else [part])}
        # A short one, such as 1, would be blanked out of every other text; it is not shown itself.
        short = {str(text) for text in given if len(str(text)) < SHORT}
        module.no_log_values.difference_update((public | short) - {module.params["api_key"]})
        module.no_log_values.update(text for text in (entry["server_url"], *(entry["args"] or [])) if is_secret("url", text))
        for option in (*SECRET, "credentials"):
            entry[option] = entry[option] and dict.fromkeys(entry[option], HIDDEN)
        for option in ("server_url", "args"):
            entry[option] = masked(entry[option])
    return real


def warn_of_keys(module: AnsibleModule, servers: list[Server]) -> None:
    for server in servers:
        if not server.absent and "authorization" in [name.lower() for name in server.wanted.get("extra_headers", [])]:
            key = "the caller's LiteLLM key unless that comes in x-litellm-api-key"
            module.warn(f"{server.label}: extra_headers pass on Authorization, which is {key}.")


def main() -> None:
    options = {**Server.options, **spec_of(Server.fields)}
    alone = [name for name, spec in options.items() if "default" not in spec]
    module = AnsibleModule(
        argument_spec={**CONNECTION, "servers": {"type": "list", "elements": "dict", "options": options}, **options},
        supports_check_mode=True,
        required_one_of=[("servers", "server_name", "server_id")],
        mutually_exclusive=[("servers", name) for name in alone] + [("credentials", "authentication_token")],
    )
    single, *several = hidden(module)
    done: list[dict[str, Any]] = []
    try:
        client = connect(module.params)
        one = module.params["servers"] is None
        servers = [Server(client, single, Listing(client), Grants(client))] if one else described(several, client)
        only_administrators(client)
        warn_of_keys(module, servers)
        ensure_all(servers, module.check_mode, done)
    except LiteLLMError as error:
        module.fail_json(msg=str(error), **error.facts, **({"servers": done} if several else {}))
    diffs = [{"before": each["before"] or {}, "after": each["after"] or {}} for each in done]
    result = done[0] if one else {"changed": any(each["changed"] for each in done), "servers": done}
    module.exit_json(**result, **({"diff": diffs[0] if one else diffs} if module._diff else {}))


if __name__ == "__main__":
    main()
