"""Every example question of the source document, asked of the running server through a real client, has its exact answer."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from tests.questions.ask import ask, client_of
from tests.questions.questions import QUESTIONS, Question
from tests.questions.truth import Truth
from tests.support.kube_apiserver import READER, kube_apiserver, kubeconfig
from tests.support.server import ServerProcess


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
async def test_the_answer_is_exact(stack, question: Question):
    with Truth(stack) as truth:
        people = {user["user_id"] for user in truth.users()}
        async with client_of(stack) as client:
            asked = await ask(client, truth, question)
        assert asked.faults == []
        assert asked.text.strip(), "a model that reads only text gets nothing"
        assert question.short(asked.answer)
        assert {user["user_id"] for user in truth.users()} == people, "asking made or removed a user"


if "KUBEBUILDER_ASSETS" in os.environ:

    async def test_the_pod_questions_have_their_exact_answers_from_a_real_api_server(stack, tmp_path):
        with kube_apiserver(Path(os.environ["KUBEBUILDER_ASSETS"])) as api:
            config = str(kubeconfig(str(api.base_url).rstrip("/"), READER, tmp_path / "kubeconfig"))
            environment = {
                "LITELLM_API_URL": stack.litellm_url,
                "LITELLM_API_KEY": stack.litellm_master_key,
                "DATABASE_URL": stack.database_readonly_url,
                "MCP_API_KEY": stack.mcp_token,
                "KUBECONFIG": config,
            }
            with ServerProcess(environment) as server:
                server.wait_for("/readyz")
                there = dataclasses.replace(stack, mcp_url=server.url, kubeconfig=config)
                with Truth(there) as truth:
                    async with client_of(there) as client:
                        asked = [await ask(client, truth, question) for question in QUESTIONS if question.tool == "get_pod_status"]
        assert len(asked) == 2
        assert [each.faults for each in asked] == [[], []]
