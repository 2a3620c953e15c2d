"""What a deployment is: a name, the limits of its quota, and the model behind it."""

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model deployment and its quota.

    Args:
        name: what requests call it.
        tpm: tokens per minute, at least 1.
        rpm: requests per minute, at least 1.
        model: the model behind it, which decides how tokens are counted; None: the one that `name` names,
            else one that counts as gpt-4o does.
        max_output_tokens: the most a request may ask for, and what the judge assumes when a request does not say.

    Raises:
        ValueError: a name is blank, or a number is below 1.
    """

    name: str
    _: KW_ONLY
    tpm: int = 600_000
    rpm: int = 3_600
    model: str | None = None
    max_output_tokens: int = 16_384

    def __post_init__(self) -> None:
        for field in ("name", "model"):
            if (text := getattr(self, field)) is not None and not text.strip():
                raise ValueError(f"{field} must not be blank")
        for field in ("tpm", "rpm", "max_output_tokens"):
            if (number := getattr(self, field)) < 1:
                raise ValueError(f"{field} must be at least 1, not {number}")
