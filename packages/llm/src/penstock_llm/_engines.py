"""The ways of asking a model, by name."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from openai import AsyncOpenAI

from ._engine import Engine
from ._instructor_engine import InstructorEngine
from ._native import NativeEngine

EngineName = Literal["native", "instructor", "instructor-json-schema"]
"""How to ask for a typed answer: by strict JSON Schema, or by instructor's modes TOOLS or JSON_SCHEMA."""

_MODES: Final = {"instructor": "TOOLS", "instructor-json-schema": "JSON_SCHEMA"}


def make_engine(name: EngineName, client: AsyncOpenAI, deployment: str, parameters: Mapping[str, Any]) -> Engine:
    """Return an engine for one deployment.

    Raises:
        ValueError: ``name`` is none of the engines.
        ImportError: It needs the extra ``instructor``, which is not installed.
    """
    if name == "native":
        return NativeEngine(client, deployment, parameters)
    if name not in _MODES:
        raise ValueError(f"engine must be one of native, {', '.join(_MODES)}, not {name!r:.40}")
    return InstructorEngine(name, _MODES[name], client, deployment, parameters)
