"""decode: the pictures that come in from the world, and those that must not."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from oneglance.data.geometry import warp_image
from oneglance.decode import ImageError, decode, decode_bytes, decode_mask, files, limits, plain, read_size, to_rgb

RNG = np.random.default_rng(0)


def picture(width: int = 48, height: int = 32) -> np.ndarray:
    """A smooth picture without any symmetry, uint8 [H, W, 3]."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack([x, y, x * y], 2) * 200 + 20).astype(np.uint8)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def refused(path: Path, *words: str) -> None:
    """Every door refuses the file, names it and says why."""
    for door in (decode, decode_mask):
        with pytest.raises(ImageError) as caught:
            door(path)
        assert str(path) in str(caught.value)
        for word in words:
            assert word in str(caught.value)


# --- what is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["png", "bmp", "tiff", "ppm", "webp", "gif"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    pixels = np.array(Image.fromarray(picture()).quantize(64).convert("RGB"))
    Image.fromarray(pixels).save(path, **({"lossless": True} if extension == "webp" else {}))
    found = decode(path)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, pixels)
    assert read_size(path) == (48, 32)


def test_images_larger_than_a_strip_keep_every_pixel(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (1501, 2003, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(decode(tmp_path / "a.bmp"), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tiff"])
def test_every_exif_orientation(tmp_path: Path, orientation: int, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    extra = {"lossless": True} if extension == "webp" else {}
    Image.fromarray(picture()).save(path, exif=exif(orientation), **extra)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    found = decode(path)
    np.testing.assert_array_equal(found, expected)
    assert read_size(path) == (found.shape[1], found.shape[0])
    assert found.shape[:2] == ((48, 32) if orientation > 4 else (32, 48))


def test_exif_orientation_6_by_hand(tmp_path: Path) -> None:
    """The camera was held upright: what is stored as the left column is looked at as the top row."""
    stored = np.zeros((2, 3, 3), np.uint8)
    stored[0, 0] = 255
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif(6))
    found = decode(tmp_path / "a.png")
    assert found.shape == (3, 2, 3)
    assert found[0, 1, 0] == 255
    assert found.sum() == 255 * 3


@pytest.mark.parametrize(
    "broken", [exif(99), exif(0), b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0"]
)
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_broken_exif_is_passed_over(tmp_path: Path, broken: bytes, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    Image.fromarray(picture()).save(path, exif=broken)
    assert decode(path).shape == (32, 48, 3)
    assert read_size(path) == (48, 32)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "b.jpg")
    np.testing.assert_array_equal(decode(tmp_path / "b.jpg"), picture())


def test_sixteen_bits_are_scaled_not_saturated(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 48 * 32).astype(np.uint16).reshape(32, 48)
    for extension in ("png", "tiff"):
        path = tmp_path / f"a.{extension}"
        Image.fromarray(grey).save(path)
        found = decode(path)
        assert found.shape == (32, 48, 3)
        np.testing.assert_array_equal(found[:, :, 1], grey >> 8)


def test_sixteen_bit_colour_is_scaled(tmp_path: Path) -> None:
    rows = np.array([[[0, 256, 65535], [32768, 511, 1]]], ">u2")
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    (tmp_path / "a.png").write_bytes(png(2, 1, chunk(b"IDAT", data), bits=16))
    assert decode(tmp_path / "a.png").tolist() == [[[0, 1, 255], [128, 1, 0]]]


def test_sixteen_bit_ppm_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + struct.pack(">HH", 32768, 65535))
    assert decode(tmp_path / "a.pgm")[0, :, 0].tolist() == [128, 255]


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    rgba = np.array([[[10, 20, 30, 255], [0, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    for extension in ("png", "tiff", "webp"):
        path = tmp_path / f"a.{extension}"
        Image.fromarray(rgba).save(path, **({"lossless": True, "exact": True} if extension == "webp" else {}))
        assert decode(path).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]


def test_opaque_alpha_changes_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([picture(), np.full((32, 48), 255, np.uint8)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), picture())


def test_grey_with_alpha(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[100, 255], [0, 0]]], np.uint8), "LA").save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").tolist() == [[[100] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [(1, [255, 255, 255]), (b"\xff\x00", [255, 255, 255]), (b"\xff\x66", [153, 154, 154])],
)
def test_palette_with_alpha(tmp_path: Path, transparency: int | bytes, expected: list[int]) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 8, 7, 0, 2, 3])
    image.save(tmp_path / "a.png", transparency=transparency)
    assert decode(tmp_path / "a.png").tolist() == [[[9, 8, 7], expected]]


def test_a_transparent_colour_without_alpha(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert decode(tmp_path / "a.png").tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_one_bit_and_grey(tmp_path: Path) -> None:
    bits = RNG.integers(0, 2, (5, 11)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), np.repeat(bits[..., None] * 255, 3, 2))
    grey = RNG.integers(0, 256, (5, 11), np.uint8)
    Image.fromarray(grey).save(tmp_path / "b.png")
    np.testing.assert_array_equal(decode(tmp_path / "b.png"), np.repeat(grey[..., None], 3, 2))


def test_cmyk_is_not_inverted(tmp_path: Path) -> None:
    """PIL writes CMYK JPEGs inverted, with Adobe's marker, as Photoshop does."""
    expected = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(expected).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - expected).max() < 8


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000)])
def test_thin_images(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    assert decode(tmp_path / "a.jpg", enough=(1, 1)).shape[2] == 3
    assert decode(tmp_path / "a.jpg").shape == (size[1], size[0], 3)


def test_a_still_gif_is_read_and_a_moving_one_refused(tmp_path: Path) -> None:
    frames = [Image.new("P", (4, 4), k) for k in range(3)]
    frames[0].save(tmp_path / "still.gif")
    assert decode(tmp_path / "still.gif").shape == (4, 4, 3)
    rgb = [Image.new("RGB", (4, 4), (80 * k, 0, 0)) for k in range(3)]
    for name in ("a.gif", "a.webp", "a.png"):
        rgb[0].save(tmp_path / name, save_all=True, append_images=rgb[1:], duration=50)
        refused(tmp_path / name, "3 frames")
        with pytest.raises(ImageError, match="3 frames"):
            read_size(tmp_path / name)
    rgb[0].save(tmp_path / "a.tiff", save_all=True, append_images=rgb[1:])
    refused(tmp_path / "a.tiff", "3 pages")


def test_the_first_picture_of_a_cameras_mpo_counts(tmp_path: Path) -> None:
    big, small = (Image.fromarray(picture(*size)) for size in ((48, 32), (24, 16)))
    big.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
    assert decode(tmp_path / "a.jpg").shape == (32, 48, 3)


# --- JPEGs that PIL need not decode -------------------------------------------------------------------------


def through_pil(
    data: bytes, monkeypatch: pytest.MonkeyPatch, enough: tuple[int, int] | None = None
) -> np.ndarray | str:
    with monkeypatch.context() as patch:
        patch.setattr(plain, "_turbo", lambda *_: None)
        return outcome(data, enough)


def outcome(data: bytes, enough: tuple[int, int] | None = None) -> np.ndarray | str:
    try:
        return decode_bytes(data, enough=enough)
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("size", [(16, 16), (15, 40), (17, 33), (322, 241)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_has_the_same_pixels_whoever_decodes_it(
    size: tuple[int, int], progressive: bool, subsampling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rough = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC)
    image.save(file, "JPEG", quality=80, progressive=progressive, subsampling=subsampling)
    for divisor in (1, 2, 4, 8):
        enough = (size[1] // divisor, size[0] // divisor)
        found = outcome(file.getvalue(), enough)
        np.testing.assert_array_equal(found, through_pil(file.getvalue(), monkeypatch, enough))


def test_an_ordinary_jpeg_takes_the_short_way_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"

    def short(image: Image.Image, **options: object) -> bool:
        image.save(path, "JPEG", **options)
        with path.open("rb") as file:
            return plain.plain_jpeg(file, None, False) is not None

    colour = Image.fromarray(picture())
    assert short(colour)
    assert short(colour, icc_profile=b"a profile of colours")
    assert not short(colour, exif=exif(6))
    assert not short(colour, exif=exif(1))
    # Bytes may be filled in before a segment: what it says must not be passed over with them.
    path.write_bytes(path.read_bytes().replace(b"\xff\xe1", b"\xff\xff\xe1", 1))
    with Image.open(path) as image:
        assert image.getexif()
    with path.open("rb") as file:
        assert plain.plain_jpeg(file, None, False) is None
    assert not short(colour, xmp=b"<x/>")
    assert not short(colour.convert("L"))
    assert not short(colour.convert("CMYK"))
    assert not short(colour.crop((0, 0, 12, 32)))


def test_a_jpeg_with_exif_that_lies_upright_is_not_left_to_pil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path, exif=exif(1))
    monkeypatch.setattr(files, "loaded", lambda *_: pytest.fail("PIL decoded it"))
    assert decode(path).shape == (32, 48, 3)


def test_pil_judges_a_jpeg_that_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "JPEG", quality=90)
    data, rng = file.getvalue(), np.random.default_rng(0)
    broken = [data[: len(data) * k // 12] for k in range(1, 12)] + [data[:-1], data[:-2], data[:-20]]
    for _ in range(60):
        spoilt = bytearray(data)
        spoilt[rng.integers(2, len(data))] ^= int(rng.integers(1, 256))
        broken.append(bytes(spoilt))
    refused = 0
    for one in broken:
        found, expected = outcome(one), through_pil(one, monkeypatch)
        refused += isinstance(expected, str)
        if isinstance(expected, str):
            assert found == expected
        else:
            np.testing.assert_array_equal(found, expected)
    assert refused > 10


# --- reduced JPEGs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enough", "expected"),
    [((32, 48), (32, 48)), ((17, 20), (32, 48)), ((16, 24), (16, 24)), ((7, 9), (8, 12)), ((0, 0), (4, 6))],
)
def test_a_reduced_jpeg_stays_large_enough(tmp_path: Path, enough: tuple[int, int], expected: tuple[int, int]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path, quality=95)
    found = decode(path, enough=enough)
    assert found.shape[:2] == expected
    assert decode_bytes(path.read_bytes(), enough=enough).shape == found.shape


@pytest.mark.parametrize(("enough", "expected"), [((24, 16), (24, 16)), ((10, 20), (48, 32)), ((6, 4), (6, 4))])
def test_enough_means_the_image_as_it_is_looked_at(
    tmp_path: Path, enough: tuple[int, int], expected: tuple[int, int]
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif(6))
    assert decode(tmp_path / "a.jpg", enough=enough).shape[:2] == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(160, 96), (163, 101), (161, 96)])
def test_a_reduced_jpeg_lies_where_the_original_does(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    """Whatever the rotation, and where the sides can't be divided: warp_image puts both in the same place."""
    path = tmp_path / "a.jpg"
    # Steep, so that half a pixel of the original shows as a difference of 2 or more.
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([x * 255 // 163, y * 255 // 101, 0 * x], 2).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=98, subsampling=0, exif=exif(orientation))
    whole = decode(path)
    height, width = whole.shape[:2]
    reduced = decode(path, enough=(height // 8, width // 8))
    mirrored = orientation in (2, 3, 4, 6, 7, 8) and size != (160, 96)
    assert reduced.shape[0] < height or mirrored
    assert reduced.shape[0] >= height // 8
    assert reduced.shape[1] >= width // 8
    matrix = np.diag([0.25, 0.25, 1])
    out = (height // 4, width // 4)
    expected = warp_image(whole, matrix, out).astype(int)
    found = warp_image(reduced, matrix, out, source_wh=(width, height)).astype(int)
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(expected - found)[inner].mean() < 1
    assert np.abs(expected - found)[inner].max() <= 4


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\xff\xd8\xff\xe0nothing more", "broken image"),
        (b"\x89PNG\r\n\x1a\n", "header"),
        (bytes(range(256)), "not an image"),
        (b"%PDF-1.7\n", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    refused(path, word)
    with pytest.raises(ImageError, match=word):
        read_size(path)
    with pytest.raises(ImageError, match=word):
        decode_bytes(content, "upload.jpg")


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "gif", "webp", "tiff", "ppm"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_images(tmp_path: Path, extension: str, part: float) -> None:
    path = tmp_path / f"a.{extension}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(ImageError, match=str(path)):
        decode(path)


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 9_000), (70_000, 10), (4_000_000_000, 1), (0, 5)])
def test_bombs_are_refused_by_their_header(tmp_path: Path, size: tuple[int, int]) -> None:
    """A few bytes that claim hundreds of megapixels. 12000 x 9000 is between our limit and PIL's."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size, chunk(b"IDAT", zlib.compress(b"\0" * 1000))))
    refused(path)
    with pytest.raises(ImageError):
        read_size(path)


def test_the_limit_says_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 1000)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "48 x 32")
    with pytest.raises(ImageError, match="48 x 32"):
        to_rgb(picture())


def test_a_large_image_below_the_limit_does_not_warn(tmp_path: Path) -> None:
    """PIL warns from 89 megapixels on; ours are 100."""
    (tmp_path / "a.png").write_bytes(png(9_900, 10_000, chunk(b"IDAT", b"")))
    assert read_size(tmp_path / "a.png") == (9_900, 10_000)


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt"])
def test_a_bomb_in_a_side_chunk(tmp_path: Path, name: bytes) -> None:
    bomb = b"x\0\0" + zlib.compress(b"\0" * 50_000_000, 9)
    (tmp_path / "a.png").write_bytes(png(1, 1, chunk(name, bomb), chunk(b"IDAT", zlib.compress(b"\0" * 4))))
    refused(tmp_path / "a.png")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    refused(tmp_path / "none.jpg", "no such file")
    refused(tmp_path, "directory")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tiff")
    refused(tmp_path / "a.tiff")
    with pytest.raises(ImageError, match=r"a\.tiff.*floating"):
        decode(tmp_path / "a.tiff")


def test_no_file_raises_anything_else(tmp_path: Path) -> None:
    """Damage at any place gives a picture or an ImageError: no warning, no other exception."""
    rng = np.random.default_rng(7)
    for extension in ("jpg", "png", "gif", "webp", "tiff", "bmp", "ppm"):
        path = tmp_path / f"a.{extension}"
        Image.fromarray(picture(24, 16)).save(path, **({"exif": exif(6)} if extension in ("jpg", "png") else {}))
        good = path.read_bytes()
        for _ in range(150):
            bad = bytearray(good)
            for at in rng.integers(0, min(len(bad), 300), 3):
                bad[at] = rng.integers(256)
            path.write_bytes(bad)
            for door in (decode, decode_mask, read_size):
                try:
                    door(path)
                except ImageError as error:
                    assert str(path) in str(error)  # noqa: PT017


def test_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    for k in range(4):
        Image.fromarray(picture()).save(tmp_path / f"{k}.jpg", exif=b"Exif\0\0nonsense")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda k: decode(tmp_path / f"{k % 4}.jpg"), range(200)))) == 200
    assert list(warnings.filters) == before


# --- masks -------------------------------------------------------------------------------------------------


@pytest.fixture
def ids() -> np.ndarray:
    return RNG.integers(0, 21, (7, 9), np.uint8)


def test_mask_numbers_stay(tmp_path: Path, ids: np.ndarray) -> None:
    palette = Image.fromarray(ids, "P")
    palette.putpalette(RNG.integers(0, 256, 63).tolist())
    palette.save(tmp_path / "p.png", transparency=0)
    Image.fromarray(ids).save(tmp_path / "l.png")
    for name in ("p.png", "l.png"):
        found = decode_mask(tmp_path / name)
        assert found.dtype == np.uint8
        assert found.flags.writeable
        np.testing.assert_array_equal(found, ids)


def test_a_damaged_mask_is_never_read_as_another(tmp_path: Path) -> None:
    """Whatever byte is spoilt, and wherever the file is cut (with and without its end)."""
    path, ids = tmp_path / "a.png", np.kron(RNG.integers(0, 5, (5, 6), np.uint8), np.ones((8, 8), np.uint8))
    Image.fromarray(ids).save(path)
    data = path.read_bytes()
    assert plain.plain_png(io.BytesIO(data)) is not None
    spoilt = [data[:k] + bytes([data[k] ^ 0x55]) + data[k + 1 :] for k in range(len(data))]
    cut = [data[:k] + end for k in range(len(data) - 12) for end in (b"", data[-12:])]
    for one in spoilt + cut:
        found = plain.plain_png(io.BytesIO(one))
        assert found is None or np.array_equal(found, ids)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"a\.png"):
        decode_mask(path)


def test_a_mask_of_plain_grey_need_not_go_through_pil(tmp_path: Path, ids: np.ndarray, monkeypatch) -> None:
    said = PngImagePlugin.PngInfo()
    said.add_text("Software", "an annotation tool")
    Image.fromarray(ids).save(tmp_path / "a.png", dpi=(72, 72), pnginfo=said)
    expected = np.asarray(Image.open(tmp_path / "a.png"))
    monkeypatch.setattr(files, "loaded", lambda *_: pytest.fail("PIL decoded it"))
    np.testing.assert_array_equal(decode_mask(tmp_path / "a.png"), expected)
    monkeypatch.undo()
    turned = PngImagePlugin.PngInfo()
    turned.add_text("Raw profile type exif", "not to be passed over")
    for number, options in enumerate(({"pnginfo": turned}, {"exif": exif(6)}, {"transparency": 3}, {"bits": 4})):
        Image.fromarray(ids % 16).save(tmp_path / f"{number}.png", **options)
        with (tmp_path / f"{number}.png").open("rb") as file:
            assert plain.plain_png(file) is None


def test_mask_of_sixteen_bits(tmp_path: Path, ids: np.ndarray) -> None:
    wide = ids.astype(np.uint16) * 3000
    for name in ("a.png", "a.tiff"):
        Image.fromarray(wide).save(tmp_path / name)
        found = decode_mask(tmp_path / name)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, wide)
    Image.fromarray(ids.astype(np.int32) - 5).save(tmp_path / "i.tiff")
    np.testing.assert_array_equal(decode_mask(tmp_path / "i.tiff"), ids.astype(int) - 5)


def test_mask_of_one_bit(tmp_path: Path, ids: np.ndarray) -> None:
    Image.fromarray(ids > 10).save(tmp_path / "a.png")
    found = decode_mask(tmp_path / "a.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ids > 10)


def test_colour_masks_and_jpegs_are_refused(tmp_path: Path, ids: np.ndarray) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png.*RGB.*palette or grey PNG"):
        decode_mask(tmp_path / "a.png")
    Image.fromarray(ids).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="JPEG can't hold a mask"):
        decode_mask(tmp_path / "a.jpg")


# --- whatever a user calls an image ------------------------------------------------------------------------


def test_to_rgb_takes_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path, exif=exif(6))
    expected = decode(path)
    buffer = io.BytesIO(path.read_bytes())
    with Image.open(path) as opened:
        for kind in (path, str(path), path.read_bytes(), opened, Image.open(buffer), expected):
            np.testing.assert_array_equal(to_rgb(kind), expected)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(picture())), picture())
    mirrored = to_rgb(picture()[:, ::-1])
    np.testing.assert_array_equal(mirrored, picture()[:, ::-1])
    assert mirrored.flags.c_contiguous
    grey = picture()[:, :, 0]
    np.testing.assert_array_equal(to_rgb(grey), np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(to_rgb(grey[..., None]), np.repeat(grey[..., None], 3, 2))


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros((4, 4, 3), np.float32), "multiply by 255"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((4, 4, 4), np.uint8), r"\[4, 4, 4\]"),
        (np.zeros((3, 4, 4), np.uint8), r"\[3, 4, 4\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"\[2, 4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros(4, np.uint8), r"\[4\]"),
        (b"", "empty"),
        (17, "int"),
    ],
)
def test_to_rgb_refuses_the_rest(image: object, word: str) -> None:
    with pytest.raises(ImageError, match=word):
        to_rgb(image)  # type: ignore[arg-type]
