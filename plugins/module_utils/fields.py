"""What the fields of LiteLLM's records are: how an option is read, when two values are the same, and how one is cleared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils import durations
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError

# What says "no limit". An option that is left out, or null in YAML, leaves the field alone.
CLEARING = ("unlimited", "null")


@dataclass(frozen=True)
class Kind:
    """What a field holds.

    Attributes:
        spec: its option in an argument spec.
        read: turns what LiteLLM has into what is shown and compared.
        parse: turns the option's value into LiteLLM's; raises ValueError with a text that says what it must be.
        same: whether what LiteLLM has is what is wanted.
        merge: what to send, from what LiteLLM has and what is wanted.
        show: turns a value into what may be shown.
    """

    spec: dict[str, Any]
    read: Callable[[Any], Any] = lambda value: value
    parse: Callable[[Any], Any] = lambda value: value
    same: Callable[[Any, Any], bool] = lambda have, wanted: have == wanted
    merge: Callable[[Any, Any], Any] = lambda have, wanted: wanted
    show: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Field:
    """An option that is a field of LiteLLM's record, by LiteLLM's own name.

    Attributes:
        clear: what LiteLLM is sent when the field is to be cleared; a field without it can't be.
        cleared: what LiteLLM has when the field is clear.
        more: what the option's spec has beyond its kind's, such as choices.
    """

    name: str
    kind: Kind
    clear: Any = ...
    cleared: Any = None
    more: dict[str, Any] | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return {**self.kind.spec, **(self.more or {})}

    def wanted(self, value: Any) -> Any:
        """Return the option's value as LiteLLM would hold it. Raises LiteLLMError, naming the option."""
        if isinstance(value, str) and value.strip().lower() in CLEARING and self.clear is not ...:
            return self.cleared
        try:
            return self.kind.parse(value)
        except ValueError as error:
            word = "" if self.clear is ... else ", or unlimited for none"
            raise LiteLLMError(f"{self.name}: {error}{word}. It is {value!r}.") from None

    def held(self, record: dict[str, Any]) -> Any:
        """Return what LiteLLM's record holds."""
        value = record.get(self.name)
        return self.cleared if value is None else self.kind.read(value)

    def shown(self, record: dict[str, Any]) -> Any:
        """Return what may be shown of what LiteLLM's record holds."""
        return self.kind.show(self.held(record))

    def same(self, have: Any, wanted: Any) -> bool:
        """Whether LiteLLM has what is wanted."""
        return have is wanted if have is None or wanted is None else self.kind.same(have, wanted)

    def sent(self, have: Any, wanted: Any) -> Any:
        """Return what to send to LiteLLM so that it has what is wanted."""
        if self.is_clear(wanted) and self.clear is not ...:
            return self.clear
        return self.kind.merge(have, wanted)

    def is_clear(self, value: Any) -> bool:
        return value is None or value == self.cleared


def spec_of(fields: tuple[Field, ...]) -> dict[str, dict[str, Any]]:
    """Return the argument spec of these fields."""
    return {field.name: field.spec for field in fields}


def wanted_of(fields: tuple[Field, ...], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the values of those options that were given. Raises LiteLLMError, naming the option."""
    return {field.name: field.wanted(parameters[field.name]) for field in fields if parameters.get(field.name) is not None}


def _label(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _dollars(value: str) -> float:
    number = _number(value, "must be a number of US dollars, 0 or more, such as 12.50")
    if not 0 <= number < math.inf:
        raise ValueError("must be a number of US dollars, 0 or more, such as 12.50")
    return number


def _count(value: str) -> int:
    number = _number(value, "must be a whole number, 0 or more")
    if not 0 <= number < 2**53 or number != int(number):
        raise ValueError("must be a whole number, 0 or more")
    return int(number)


def _number(value: str, sentence: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(sentence) from None


def _same_number(have: Any, wanted: Any) -> bool:
    # A stored double may come back with 15 digits of its 17.
    return math.isclose(have, wanted, rel_tol=1e-12)


def _same_period(have: str, wanted: str) -> bool:
    try:
        return durations.normalise(have) == durations.normalise(wanted)
    except ValueError:  # somebody else wrote it
        return have == wanted


def _same_mapping(have: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(have.get(name) == value for name, value in wanted.items())


def _merged(have: dict[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM replaces a mapping as a whole: what was not named stays, and what was named null goes."""
    return {name: value for name, value in {**(have or {}), **wanted}.items() if value is not None}


def _without_secrets(value: Any) -> Any:
    """LiteLLM keeps the credentials of logging callbacks in metadata; 1.81 returns them in plain text."""
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: dict.fromkeys(part, "***") if name == "callback_vars" and isinstance(part, dict) else _without_secrets(part)
        for name, part in value.items()
    }


DOLLARS = Kind({"type": "str"}, parse=_dollars, same=_same_number)
COUNT = Kind({"type": "str"}, parse=_count, same=_same_number)
PERIOD = Kind({"type": "str"}, parse=durations.normalise, same=_same_period)
TEXT = Kind({"type": "str"})
LABEL = Kind({"type": "str"}, parse=_label)
FLAG = Kind({"type": "bool"})
NAMES = Kind({"type": "list", "elements": "str"}, same=lambda have, wanted: set(have) == set(wanted))
MAPPING = Kind({"type": "dict"}, same=_same_mapping, merge=_merged, show=_without_secrets)
