"""What all sections of the configuration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

HIDDEN = SecretStr("**********")
"""Placeholder for a secret. A client of the API that sends it keeps the present secret."""


def _without_surrogates(secret: SecretStr) -> SecretStr:
    """Refuse lone surrogates: JSON can contain them, but they cannot be sent to a camera."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half of a character (a lone surrogate): remove it") from None
    return secret


Secret = Annotated[SecretStr, AfterValidator(_without_surrogates)]
"""A text that is displayed as asterisks. It may contain any character."""


class Section(BaseModel):
    """A section of the configuration. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
