"""The only place that opens an image.

PIL, OpenCV and torchvision disagree on EXIF rotation, broken JPEGs, 16-bit PNGs and decompression bombs; here
is what holds everywhere in oneglance:

- The image is as it is looked at: EXIF orientation applied. An orientation that does not exist, or EXIF that
  can't be read, is passed over; of a PNG, only what stands before the pixels is read.
- uint8 RGB. 16 bits a channel are scaled to 8, not saturated. What is transparent is shown on white, as the
  page of a browser or an annotation tool shows it: the colours under it are whatever the program that wrote
  the file left there.
- What is truncated, oversized, animated or no image is refused with an :class:`ImageError` that says why.
"""

from oneglance.decode.files import decode, decode_bytes, decode_mask, decode_padded, read_size, to_rgb
from oneglance.decode.limits import ImageError, too_large
from oneglance.decode.plain import reduction

__all__ = [
    "ImageError", "decode", "decode_bytes", "decode_mask", "decode_padded", "read_size", "reduction", "to_rgb",
    "too_large",
]  # fmt: skip
