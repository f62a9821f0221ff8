"""ACTION means one of three things, and what is none of its words is an error."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.rhpds.litemaas.plugins.filter.workload_action import workload_action


@pytest.mark.parametrize(
    ("action", "remove", "means"),
    [
        ("provision", False, "provision"),
        ("create", "false", "provision"),
        ("provision", "true", "destroy"),
        ("destroy", False, "destroy"),
        ("remove", True, "destroy"),
        ("start", False, "none"),
        ("stop", True, "none"),
        ("status", False, "none"),
    ],
)
def test_each_word_has_a_meaning(action: str, remove: bool | str, means: str):
    assert workload_action(action, remove) == means


@pytest.mark.parametrize("action", ["destory", "DESTROY", "update", "", None])
def test_another_word_is_an_error_that_says_which_there_are(action: str | None):
    for remove in (False, True):
        with pytest.raises(AnsibleFilterError, match=f"ACTION is '{action}'. Set it to one of provision, create, destroy, remove"):
            workload_action(action, remove)
