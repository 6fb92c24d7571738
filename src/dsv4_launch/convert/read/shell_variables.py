"""Variables of a shell script: what it sets before a launch, and right in front of one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsv4_launch.convert.read.launch import Variable
from dsv4_launch.convert.read.program import assignment
from dsv4_launch.convert.read.shell_text import read_command

_EXPORT = re.compile(r"(?m)^[ \t]*(?:\$[ \t]+)?(?:export[ \t]+)?(?=[A-Za-z_]\w{0,80}=)")
_MOST_VARIABLES = 200


def assigned(text: str) -> tuple[Variable, ...]:
    """``NAME=value`` and ``export NAME=value`` lines; those that are exported reach the server."""
    found: dict[str, Variable] = {}
    for line in _EXPORT.finditer(text):
        known = {name: v.value or "" for name, v in found.items() if not v.opaque}
        simple = read_command(text, line.end(), variables=known)
        given = [assignment(word) for word in simple.words]
        if not all(given) or any(fault.code == "missing-continuation" for fault in simple.faults):
            continue
        for variable in given:
            if variable is not None:
                found.pop(variable.name, None)
                found[variable.name] = variable
        if len(found) > _MOST_VARIABLES:
            break
    return tuple(found.values())


def known_values(shell: Sequence[Variable]) -> dict[str, str]:
    """The values of those that the text tells."""
    return {v.name: v.value or "" for v in shell if not v.opaque}


def is_exported(text: str, variable: Variable) -> bool:
    """True when the line that sets it exports it."""
    line = text.rfind("\n", 0, variable.span[0]) + 1
    return "export" in text[line : variable.span[0]]


def set_in_front(text: str, start: int, at: int) -> tuple[Variable, ...]:
    """Assignments right in front of the command, as in ``NAME=value docker run``."""
    words = read_command(text, start, at).words if "=" in text[start:at] else ()
    found: list[Variable] = []
    for word in reversed(words):
        variable = assignment(word)
        if variable is not None:
            found.append(variable)
        elif word.text not in ("sudo", "env", "exec", "nohup", "time"):
            break
    return tuple(reversed(found))
