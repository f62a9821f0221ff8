"""Ask a running stack the example questions and print what it answers: `python tests/questions [stack.json]`.

Without a file it asks the demo. Exits with 1 when an answer is wrong. What a question changes is put back.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from conftest import LOCAL, Stack  # noqa: E402
from tests.questions.ask import ask, client_of  # noqa: E402
from tests.questions.questions import QUESTIONS  # noqa: E402
from tests.questions.truth import Truth  # noqa: E402


async def main(stack: Stack) -> int:
    wrong = 0
    wide, tool = max(len(question.text) for question in QUESTIONS), max(len(question.tool) for question in QUESTIONS)
    print(f"{'question':{wide}}  {'tool':{tool}}  {'ms':>6}  answer")
    with Truth(stack) as truth:
        async with client_of(stack) as client:
            for question in QUESTIONS:
                asked = await ask(client, truth, question)
                answer = f"WRONG: {'; '.join(asked.faults[:3])}" if asked.faults else question.short(asked.answer)
                print(f"{question.text:{wide}}  {question.tool:{tool}}  {asked.milliseconds:6.0f}  {answer}", flush=True)
                wrong += bool(asked.faults)
    print(
        f"\n{len(QUESTIONS) - wrong} of {len(QUESTIONS)} answers are exact: found again past the server, in LiteLLM's raw log and its API."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else LOCAL / "stack.json"
    if not file.exists():
        sys.exit(f"There is no {file}: `make demo` starts a stack and asks it.")
    sys.exit(anyio.run(main, Stack.read(file)))
