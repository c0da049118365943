"""What all sections of a configuration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

HIDDEN = SecretStr("**********")
"""What a secret is shown as. Over the API it means the one that there is."""


def _without_surrogates(secret: SecretStr) -> SecretStr:
    """Halves of characters can be sent as JSON, and to no camera."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a character in it (a lone surrogate)") from None
    return secret


Secret = Annotated[SecretStr, AfterValidator(_without_surrogates)]
"""Is shown as stars, and may have any character in it."""


class Section(BaseModel):
    """Keys with values; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
