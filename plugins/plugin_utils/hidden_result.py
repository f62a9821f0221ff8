# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a module whose result can hold keys: the task has them, the screen does not."""

from __future__ import annotations

from ansible.plugins.action.normal import ActionModule as Normal


class HiddenResult(Normal):
    """As every module is run, except that no verbosity displays a result with values, nor what a connection got from the host.

    Values are in `key`, in the `key` of one of `virtual_keys`, or in the objects `found` in a cluster. Asynchronous tasks are
    refused: another module displays their result.
    """

    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        self._connection._play_context.no_log = True  # ssh displays at -vvv what a module wrote
        result = super().run(tmp, task_vars)
        if {"key", "found"} & result.keys() or any("key" in key for key in result.get("virtual_keys", ())):
            result["_ansible_verbose_override"] = True
        return result
