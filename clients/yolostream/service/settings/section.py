"""What all sections of a configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

HIDDEN = SecretStr("**********")
"""What a secret is shown as. Over the API it means the one that there is."""


class Section(BaseModel):
    """Keys with values; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
