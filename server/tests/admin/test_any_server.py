"""Reads any LiteLLM: the tests' own, or with RUN_INTEGRATION=1 the one of LITELLM_BASE_URL, with LITELLM_ADMIN_KEY."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .conftest import Caller, Start


@pytest.fixture
def reader(request, start: Start) -> Iterator[Caller]:
    if os.environ.get("RUN_INTEGRATION") == "1":
        url, key = os.environ["LITELLM_BASE_URL"], os.environ["LITELLM_ADMIN_KEY"]
    else:
        stack = request.getfixturevalue("stack")
        url, key = stack.litellm_url, stack.litellm_master_key
    # Whatever the tests do, nothing is changed there.
    with Caller(start(LITELLM_BASE_URL=url, READ_ONLY="true").url, key) as caller:
        yield caller


def test_users_are_listed_and_shown(reader):
    page = reader.data("litellm_user_list", page_size=5)
    assert len(page["users"]) == min(5, page["total"])
    for user in page["users"]:
        assert reader.data("litellm_user_info", user_id=user["user_id"])["user_id"] == user["user_id"]


def test_keys_are_listed_and_shown(reader):
    page = reader.data("litellm_key_list", size=5)
    assert len(page["keys"]) == min(5, page["total"])
    for key in page["keys"]:
        assert reader.data("litellm_key_info", key=key["token"])["key"] == key["token"]


def test_spend_logs_are_listed(reader):
    page = reader.data("litellm_usage_spend_logs", page_size=5)
    assert len(page["data"]) == min(5, page["total"])


def test_nothing_can_be_written(reader):
    assert reader.error("litellm_user_create", user_id="never")["status"] == 403
