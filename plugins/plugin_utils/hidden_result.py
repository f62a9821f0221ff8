# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a module whose result can hold keys: the task has them, no screen, log or callback does."""

from __future__ import annotations

from ansible import context
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.plugins.callback import CallbackBase


class HiddenResult(Normal):
    """As every module is run, except that no callback gets a result with values, and nothing displays what a connection got from the host.

    Values are in `key`, in the `key` of one of `virtual_keys`, or in the objects `found` in a cluster. A failure says its reason as
    ever, and --diff shows what was done. Who asks by `ansible -m` has no other way to get them. Asynchronous tasks are refused: another
    module displays their result.
    """

    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        self._connection._play_context.no_log = True  # ssh displays at -vvv what a module wrote
        result = super().run(tmp, task_vars)
        if {"key", "found"} & result.keys() or any("key" in key for key in result.get("virtual_keys", ())):
            result["_ansible_verbose_override"] = True
            result["_ansible_no_log"] = "module_name" not in context.CLIARGS
            if result["_ansible_no_log"] and self._task.diff and "diff" in result:  # no value is in it, and callbacks no longer get it
                self._display.display(CallbackBase(self._display)._get_diff(result["diff"]))
        return result
