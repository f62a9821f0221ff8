# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done on the controller for the module of this name."""

from __future__ import annotations

from ansible_collections.rhpds.litemaas.plugins.plugin_utils.hidden_result import HiddenResult


class ActionModule(HiddenResult):
    pass
