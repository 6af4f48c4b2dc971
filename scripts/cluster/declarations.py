"""An object against the interfaces of a TypeScript declaration file: unknown keys, keys that are missing, kinds of values."""

import re

PRIMITIVES = {"string": str, "number": (int, float), "boolean": bool}
# Declared under a short name, used under a long one.
PREFIXES = re.compile("^(IComGithubKedacoreKedaV2ApisKedaV1alpha1|IComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1"
                      "|IIoK8sSigsGatewayApiApisV1)")


def interfaces(text):
    """Of each interface its keys, with their type and whether they have to be there; also those that it has from others."""
    text = re.sub(r"\{\s*\[key: string\]: string;\s*\}", "Texts", text)
    found, above = {}, {}
    for name, others, body in re.findall(r"^export interface (\w+)(?: extends ([^{]*))? *\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields = re.findall(r'^    "(\w+)"(\??): (.*?);$', body, re.MULTILINE)
        found[name] = {key: (kind, optional == "") for key, optional, kind in fields}
        above[name] = [PREFIXES.sub("I", other.strip()) for other in others.split(",")]

    def whole(name):
        fields = {}
        for other in above.get(name, []):
            fields |= whole(other)
        return fields | found.get(name, {})

    return {name: whole(name) for name in found}


def faults(value, kind, known, path):
    """Types that are declared elsewhere are not looked into."""
    kind = PREFIXES.sub("I", kind)
    if kind in PRIMITIVES:
        # In Python what is true is a number too.
        if not isinstance(value, PRIMITIVES[kind]) or (kind == "number" and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {kind}"
    elif kind == "Texts":
        for key, text in value.items():
            yield from faults(text, "string", known, f"{path}.{key}")
    elif match := re.fullmatch(r"(?:Array<(\w+)>|(\w+)\[\])", kind):
        for number, item in enumerate(value):
            yield from faults(item, match[1] or match[2], known, f"{path}[{number}]")
    elif kind in known:
        for key in value.keys() - known[kind].keys():
            yield f"{path}.{key}: nobody knows this key"
        for key, (inner, required) in known[kind].items():
            if key in value:
                yield from faults(value[key], inner, known, f"{path}.{key}")
            elif required:
                yield f"{path}.{key} is missing"
