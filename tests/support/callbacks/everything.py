"""A callback that writes down all that Ansible gives to callbacks, as those of AAP, ARA and JUnit get it."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: everything
type: aggregate
short_description: Writes down what callbacks are given
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "everything"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, *what):
        with open(os.environ["CALLBACKS_GOT"], "a") as file:
            file.write(json.dumps(what, default=repr) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write("start", task.name, task.args, task.vars)

    def v2_runner_on_start(self, host, task):
        self._write("runner", task.name, task.args)

    def v2_playbook_on_include(self, included_file):
        self._write("include", included_file._args, included_file._vars)

    def v2_playbook_on_stats(self, stats):
        self._write("stats", vars(stats))

    def _result(self, result, **_):
        self._write(result._task.name, result._result)

    v2_runner_on_ok = v2_runner_on_skipped = v2_runner_on_unreachable = v2_runner_retry = v2_on_file_diff = _result
    v2_runner_item_on_ok = v2_runner_item_on_skipped = v2_runner_item_on_failed = _result

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result)
