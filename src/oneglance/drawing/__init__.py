"""Pictures of annotations, labels and predictions alike."""

from oneglance.drawing.palette import class_colours, colour_of
from oneglance.drawing.picture import Picture, draw, sheet
from oneglance.drawing.reduced import reduced

__all__ = ["Picture", "class_colours", "colour_of", "draw", "reduced", "sheet"]
