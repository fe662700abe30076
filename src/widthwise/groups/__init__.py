"""Floor 2: which units live or die together, and why not."""

from widthwise.groups.collection import Groups
from widthwise.groups.constants import find_sized_constants
from widthwise.groups.declared import Declaration, DeclaredGroups, declare_groups
from widthwise.groups.find import find_groups
from widthwise.groups.group import FrozenAxis, Group, Member, SizedConstant
from widthwise.groups.selection import ALL, Selection
from widthwise.groups.width import units

__all__ = [
    "ALL", "Declaration", "DeclaredGroups", "FrozenAxis", "Group", "Groups", "Member", "Selection", "SizedConstant",
    "declare_groups", "find_groups", "find_sized_constants", "units",
]  # fmt: skip
