"""What a deployment is: a name, the limits of its quota, and the model behind it."""

from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal, get_args

Serves = Literal["chat", "embeddings", "both"]

_DIMENSIONS: Final = {"text-embedding-3-large": 3_072}
_DIMENSIONS_OF_OTHERS: Final = 1_536
_CANNOT_SHORTEN: Final = "text-embedding-ada-002"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model deployment and its quota.

    Args:
        name: what requests call it.
        tpm: tokens per minute, at least 1.
        rpm: requests per minute, at least 1.
        model: the model behind it, which decides how tokens are counted and how long embeddings are; None: the one that
            `name` names, else one that counts as gpt-4o does.
        max_output_tokens: the most a request may ask for, and what the judge assumes when a request does not say.
        serves: which operation it is for; None: embeddings if its model's name has `embedding` in it, else chat.
        reasoning: whether the model thinks before it answers: it takes `max_completion_tokens` only, and its answers
            cost hidden tokens unless `reasoning_effort` is `none` or `minimal`.

    Raises:
        ValueError: a name is blank, a number is below 1, or there is no such operation.
    """

    name: str
    _: KW_ONLY
    tpm: int = 600_000
    rpm: int = 3_600
    model: str | None = None
    max_output_tokens: int = 16_384
    serves: Serves | None = None
    reasoning: bool = False

    def __post_init__(self) -> None:
        for field in ("name", "model"):
            if (text := getattr(self, field)) is not None and not text.strip():
                raise ValueError(f"{field} must not be blank")
        for field in ("tpm", "rpm", "max_output_tokens"):
            if (number := getattr(self, field)) < 1:
                raise ValueError(f"{field} must be at least 1, not {number}")
        if self.serves not in (None, *get_args(Serves)):
            raise ValueError(f"serves must be one of {', '.join(get_args(Serves))}, not {self.serves!r}")

    @property
    def model_name(self) -> str:
        """Return the model's name, as far as it is known."""
        return self.model or self.name

    @property
    def operations(self) -> frozenset[str]:
        """Return what it can be asked for."""
        serves = self.serves or ("embeddings" if "embedding" in self.model_name.casefold() else "chat")
        return frozenset({"chat", "embeddings"}) if serves == "both" else frozenset({serves})

    @property
    def dimensions(self) -> int:
        """Return how long its embeddings are unless a request says otherwise."""
        known = (length for model, length in _DIMENSIONS.items() if model in self.model_name.casefold())
        return next(known, _DIMENSIONS_OF_OTHERS)

    @property
    def shortens(self) -> bool:
        """Tell whether a request may ask for shorter embeddings."""
        return _CANNOT_SHORTEN not in self.model_name.casefold()
