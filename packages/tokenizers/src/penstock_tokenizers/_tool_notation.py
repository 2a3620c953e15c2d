"""Tools as the models read them: functions in a notation like TypeScript's, as far as it is known.

OpenAI publishes counts of one example (cookbook, "How to count tokens with tiktoken"), not the notation. This is the
one that the community has found to agree with them, among others in LiteLLM, and beyond it: what that one writes as
``any`` (unions, constants, maps, tuples) is written out. References are left out, for `Expansion` to add.
"""

from collections.abc import Mapping
from typing import Any, Final

_INDENT: Final = 2
"""Blanks before a nested line. More of them are still one token."""

_NAMES: Final = {"integer": "number"}


def write_functions(functions: list[Mapping[str, Any]]) -> str:
    """Write the functions of a request."""
    lines = ["namespace functions {", ""]
    for function in functions:
        lines += [*_comment(function), *_signature(function), ""]
    return "\n".join([*lines, "} // namespace functions"])


def _fields(schema: Mapping[str, Any], indent: int) -> str:
    """Write the properties of an object, one a line, descriptions before them."""
    required, fields = _listed(schema, "required"), schema.get("properties")
    lines: list[str] = []
    for name, field in fields.items() if isinstance(fields, Mapping) else ():
        lines += _comment(field)
        lines.append(f"{name}{'' if name in required else '?'}: {_type(field, indent)},")
    return "\n".join(" " * indent + line for line in lines)


def _type(schema: Any, indent: int) -> str:  # noqa: ANN401  JSON is of any type
    """Write the type that a schema describes."""
    if not isinstance(schema, Mapping):
        return "any"
    if values := _listed(schema, "enum") or ([schema["const"]] if "const" in schema else []):
        return " | ".join(f'"{value}"' for value in values)
    if options := _listed(schema, "anyOf") or _listed(schema, "oneOf"):
        return " | ".join(_type(option, indent) for option in options)
    if parts := _listed(schema, "allOf"):
        return " & ".join(_type(part, indent) for part in parts)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}, indent) for each in kind)
    return _simple(schema, str(kind), indent) if kind else ("" if "$ref" in schema else "any")


def _simple(schema: Mapping[str, Any], kind: str, indent: int) -> str:
    """Write a type with a single name."""
    if kind == "array":
        return _array(schema, indent)
    if kind == "object":
        further = schema.get("additionalProperties")
        fields = _fields(schema, indent + _INDENT)
        if isinstance(further, Mapping):
            fields += f"\n[key: string]: {_type(further, indent + _INDENT)},"
        return f"{{\n{fields}\n}}"
    return _NAMES.get(kind, kind)


def _array(schema: Mapping[str, Any], indent: int) -> str:
    """Write a list, or a tuple."""
    if places := _listed(schema, "prefixItems"):
        return f"[{', '.join(_type(place, indent) for place in places)}]"
    return f"{_type(schema.get('items'), indent)}[]"


def write_definition(schema: Any) -> str:  # noqa: ANN401  JSON is of any type
    """Write what a reference leads to, as it stands wherever it is referred to."""
    return "\n".join([*_comment(schema), _type(schema, _INDENT)])


def _signature(function: Mapping[str, Any]) -> list[str]:
    """Write a function's name, and its parameters' frame if it has any."""
    name = function.get("name", "")
    parameters = function.get("parameters")
    if not isinstance(parameters, Mapping):
        parameters = {}
    if "$ref" in parameters or parameters.get("properties"):
        return [f"type {name} = (_: {{", _fields(parameters, 0), "}) => any;"]
    return [f"type {name} = () => any;"]


def _comment(described: Any) -> list[str]:  # noqa: ANN401  JSON is of any type
    """Write a description, if there is one."""
    text = described.get("description") if isinstance(described, Mapping) else None
    return [f"// {text}"] if text else []


def _listed(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    """Return a keyword's list; what is none is for the endpoint to complain about."""
    value = schema.get(keyword)
    return value if isinstance(value, list) else []
