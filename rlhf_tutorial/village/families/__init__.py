"""The eight families of prompts, in the order in which tables show them."""

from rlhf_tutorial.village.families import (
    comfort,
    constraint,
    errands,
    facts,
    harm,
    howto,
    taste,
    unknowable,
)
from rlhf_tutorial.village.families.base import Family

_MODULES = (facts, errands, comfort, howto, constraint, harm, unknowable, taste)
FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in _MODULES}
