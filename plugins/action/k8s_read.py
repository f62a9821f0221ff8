# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done on the controller for the module of this name."""

from __future__ import annotations

from ansible_collections.rhpds.litemaas.plugins.plugin_utils.hidden_result import HiddenResult


class ActionModule(HiddenResult):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        earlier = (task_vars or {}).get(self._task.args.get("since"))
        if earlier and "found" in result:
            result.update({part: {**earlier[part], **result[part]} for part in ("found", "served", "refused")})
        return result
