"""Every example question of the source document, asked of the running server through a real client, has its exact answer."""

from __future__ import annotations

import pytest

from tests.questions.ask import ask, client_of
from tests.questions.questions import QUESTIONS, Question
from tests.questions.truth import Truth


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
