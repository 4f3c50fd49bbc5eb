"""A street that does not exist: drawn scenes with true labels, to try everything on."""

from oneglance.street.crops import Crop, draw_face, draw_plate
from oneglance.street.objects import write_objects
from oneglance.street.photos import draw_car_photo, draw_parked_car, draw_portrait
from oneglance.street.scene import Scene, draw_scene
from oneglance.street.write import write_street

__all__ = [
    "Crop",
    "Scene",
    "draw_car_photo",
    "draw_face",
    "draw_parked_car",
    "draw_plate",
    "draw_portrait",
    "draw_scene",
    "write_objects",
    "write_street",
]
