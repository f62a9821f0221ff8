"""What every module of this collection says of itself."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what would change, without writing.
    support: full
  diff_mode:
    description: With C(--diff), returns what changed or, in check mode, would change.
    support: full
"""

    # For modules that only read.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode. It only reads.
    support: full
  diff_mode:
    description: There is nothing to show, since it only reads.
    support: N/A
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Its connection options can be set once, in C(module_defaults) of C(group/rhpds.litemaas.litellm).
    support: full
    membership:
      - rhpds.litemaas.litellm
"""
