"""The one state machine of every module that changes something: read, plan, stop in check mode, apply, verify."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import CONNECTION, connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import Field, spec_of, wanted_of

PRESENCE = {"type": "str", "choices": ["present", "absent"], "default": "present"}  # the option `state` of most resources


class Resource:
    """A kind of record in LiteLLM: the declaration in class attributes, its endpoints in five methods.

    Attributes:
        kind: what messages call it.
        identity: the fields that tell one record from another; they are shown, never changed.
        fields: what a task may set.
        options: the module's further options, among them `state` unless it can only be present.
        constraints: AnsibleModule's `required_one_of`, `mutually_exclusive` and so on.
    """

    kind: str
    identity: tuple[str, ...]
    fields: tuple[Field, ...] = ()
    options: dict[str, Any] = {}
    constraints: dict[str, Any] = {}

    def __init__(self, client: Client, parameters: dict[str, Any]) -> None:
        self.client = client
        self.parameters = parameters
        self.wanted = wanted_of(self.fields, parameters)

    @staticmethod
    def hide(module: AnsibleModule) -> None:
        """Say which values must not be shown, where the options' no_log says too much or too little."""

    def find(self) -> dict[str, Any] | None:
        """Return LiteLLM's record, or None when there is none."""
        raise NotImplementedError

    def create(self, values: dict[str, Any]) -> None:
        """Make the record with these fields."""
        raise NotImplementedError

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        """Send these fields, which differ from the record's."""
        raise NotImplementedError

    def delete(self, record: dict[str, Any]) -> None:
        """Remove the record."""
        raise NotImplementedError

    def named(self) -> dict[str, Any]:
        """Return the identity that a record to be made would have, as far as the task says it."""
        return {name: self.parameters.get(name) for name in self.identity}

    def inherited(self) -> dict[str, Any]:
        """Return the fields that LiteLLM fills in by itself in a record to be made, as far as that can be known."""
        return {}

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return changes that no field describes."""
        return {}

    def predicted(self, before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        """Return what would be shown after the changes of `extra`."""
        return before | {name: value for name, value in changes.items() if name in before}

    def reread(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the record after a write; `record` is what was there before."""
        return self.find()

    def view(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what is shown of a record."""
        if record is None:
            return None
        return {name: record.get(name) for name in self.identity} | {field.name: field.shown(record) for field in self.fields}

    def ensure(self, check_mode: bool = False) -> dict[str, Any]:
        """Make LiteLLM hold what the task says, and return `changed`, `before` and `after`."""
        record = self.find()
        if self.parameters.get("state", "present") == "absent":
            return self._absent(record, check_mode)
        if record is None:
            return self._created(check_mode)
        return self._updated(record, check_mode)

    def _absent(self, record: dict[str, Any] | None, check_mode: bool) -> dict[str, Any]:
        if record is not None and not check_mode:
            self.delete(record)
            if self.reread(record) is not None:
                raise LiteLLMError(f"LiteLLM answered that the {self.kind} is removed, but still has it.")
        return {"changed": record is not None, "before": self.view(record), "after": None}

    def _created(self, check_mode: bool) -> dict[str, Any]:
        values = {field.name: field.sent(None, self.wanted[field.name]) for field in self._given() if not self._is_clear(field)}
        if check_mode:
            made = {field.name: self._expected(field, None) for field in self.fields}
            filled = {name: value for name, value in self.inherited().items() if name not in self.wanted}
            return {"changed": True, "before": None, "after": self.named() | made | filled}
        self.create(values)
        after = self.find()
        try:
            self._verify(after, None)
        except LiteLLMError as error:
            if after is None:
                raise
            self.delete(after)
            raise LiteLLMError(f"{error} The {self.kind} was not kept.") from None
        return {"changed": True, "before": None, "after": self.view(after)}

    def _updated(self, record: dict[str, Any], check_mode: bool) -> dict[str, Any]:
        before = self.view(record)
        changes = self.extra(record)
        expected = self.predicted(before, changes)
        for field in self._given():
            have = field.held(record)
            if not field.same(have, self.wanted[field.name]):
                changes[field.name] = field.sent(have, self.wanted[field.name])
                expected[field.name] = self._expected(field, have)
        if not changes:
            return {"changed": False, "before": before, "after": before}
        if check_mode:
            return {"changed": True, "before": before, "after": expected}
        self.update(record, changes)
        after = self.reread(record)
        self._verify(after, before)
        return {"changed": True, "before": before, "after": self.view(after)}

    def _given(self) -> list[Field]:
        return [field for field in self.fields if field.name in self.wanted]

    def _expected(self, field: Field, have: Any) -> Any:
        wanted = self.wanted.get(field.name, field.cleared)
        return wanted if field.is_clear(wanted) else field.kind.show(field.kind.merge(have, wanted))

    def _is_clear(self, field: Field) -> bool:
        return field.is_clear(self.wanted[field.name])

    def _verify(self, record: dict[str, Any] | None, before: dict[str, Any] | None) -> None:
        if record is None:
            raise LiteLLMError(
                f"LiteLLM accepted the {self.kind}, but does not have it: somebody removed it at the same time.", changed=True
            )
        kept = [field for field in self._given() if not field.same(field.held(record), self.wanted[field.name])]
        if not kept:
            return
        release = f"LiteLLM {self.client.version()}".strip()
        sentences = [
            f"{release} can't clear {field.name} of a {self.kind}: it still is {field.shown(record)}."
            if self._is_clear(field)
            else f"{release} did not take {field.name} = {field.kind.show(self.wanted[field.name])}: it is {field.shown(record)}."
            for field in kept
        ]
        after = self.view(record)
        raise LiteLLMError(
            " ".join([*sentences, "Give another value, or leave the option out."]), changed=before != after, before=before, after=after
        )


def run(resource: type[Resource]) -> None:
    """Be the module of this resource."""
    module = AnsibleModule(
        argument_spec={**CONNECTION, **resource.options, **spec_of(resource.fields)}, supports_check_mode=True, **resource.constraints
    )
    resource.hide(module)
    try:
        result = resource(connect(module.params), module.params).ensure(module.check_mode)
    except LiteLLMError as error:
        module.fail_json(msg=str(error), **error.facts)
    if module._diff:
        result["diff"] = {"before": result["before"] or {}, "after": result["after"] or {}}
    module.exit_json(**result)
