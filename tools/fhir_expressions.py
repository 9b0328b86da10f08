"""SearchParameter expressions to JSON element paths; an expression that is not understood yields no path, never a wrong one."""

import re

STEP = re.compile(r"^[A-Za-z][A-Za-z0-9]*$")


def branches(expression):
    """Splits a union at its top level."""
    depth, start = 0, 0
    for at, char in enumerate(expression):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            yield expression[start:at].strip()
            start = at + 1
    yield expression[start:].strip()


def capitalised(name):
    return name[:1].upper() + name[1:]


def path_of(branch, resource_type):
    """The JSON path of one branch below `resource_type`, or None."""
    # `(Observation.value as Quantity)`: the JSON name carries the type.
    match = re.fullmatch(r"\(([A-Za-z.]+) as ([A-Za-z]+)\)(.*)", branch)
    if match:
        branch = match.group(1) + capitalised(match.group(2)) + match.group(3)
    branch = re.sub(r"\.where\(resolve\(\) is [A-Za-z]+\)$", "", branch)
    branch = re.sub(r"\.(?:as|ofType)\(([A-Za-z]+)\)", lambda m: capitalised(m.group(1)), branch)
    if not branch.startswith(resource_type + "."):
        return None
    steps = branch[len(resource_type) + 1 :].split(".")
    return ".".join(steps) if all(STEP.match(step) for step in steps) else None


def paths(expression, resource_type):
    """Every path of `expression` that begins with `resource_type`, in order."""
    found = []
    for branch in branches(expression or ""):
        path = path_of(branch, resource_type)
        if path and path not in found:
            found.append(path)
    return found
