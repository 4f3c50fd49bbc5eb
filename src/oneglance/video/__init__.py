"""Films and cameras: the only place that opens them, and the only one that writes them."""

from oneglance.video.reader import CAMERA_RATE, Film, FilmError, Moment, is_film, is_film_name
from oneglance.video.writer import CODECS, FilmWriter, open_writer

__all__ = [
    "CAMERA_RATE",
    "CODECS",
    "Film",
    "FilmError",
    "FilmWriter",
    "Moment",
    "is_film",
    "is_film_name",
    "open_writer",
]
