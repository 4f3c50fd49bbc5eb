"""How objects are followed through a film."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrackSettings(BaseModel):
    """How objects are followed through a film, and its points smoothed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: float = Field(0.25, ge=0, le=1, description="Objects of this score or more start tracks.")
    keep: float = Field(
        0.1, ge=0, le=1, description="Objects of this score or more keep a track alive that is there already."
    )
    lost: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="Seconds for which an object that is not seen keeps its number."
    )
    smooth: bool = Field(True, description="Smooth the points of tracks, and points of the whole image.")
    min_cutoff: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="Hertz: lower smooths points at rest more, and lags more."
    )
    beta: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="Hertz by which a point that moves one size a second is smoothed less; a size is the mean side of "
        "the object's box, or the image's longer side.",
    )
    sure: float = Field(
        0.25, ge=0, le=1, description="Points below this score are left as they are, and are not built upon."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.keep > self.start:
            raise ValueError(f"keep ({self.keep:g}) must not be more than start ({self.start:g})")
        return self
