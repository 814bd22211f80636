"""Writes golden/preprocess: small pictures of every kind, and what Pillow and transformers make of them.

    python -m venv VENV && VENV/bin/pip install -r scripts/export-golden/requirements-preprocess.txt
    VENV/bin/python scripts/export-golden/preprocess.py golden/preprocess

The folder is overwritten. The same versions write the same bytes.

    VENV/bin/python scripts/export-golden/preprocess.py --random 200 [--seed 1] FOLDER
    node scripts/preprocess-compare.mjs FOLDER

writes into a new folder random pictures of odd sizes and all their pixel values, for a check beyond the committed files.
"""

import argparse
import hashlib
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy
import PIL
import transformers
from PIL import Image
from PIL import features
from transformers import CLIPImageProcessor

random = numpy.random.default_rng(20)


# --- pictures ---------------------------------------------------------------------------------------


def waves(width, height):
    """Smooth, with edges and noise; no symmetry, no two channels alike."""
    y, x = numpy.mgrid[0:height, 0:width]
    channels = [127 + 100 * numpy.sin(x / 9 + y / 17), 127 + 100 * numpy.cos(x / 5 - y / 11), (3 * x + 2 * y) % 256]
    noisy = numpy.stack(channels, -1) + random.normal(0, 10, (height, width, 3))
    return numpy.clip(noisy, 0, 255).astype(numpy.uint8)


def extremes(width, height):
    """Black and white pixels only, so that the bicubic overshoot is clipped."""
    return (random.integers(0, 2, (height, width, 3)) * 255).astype(numpy.uint8)


# --- a PNG writer that can write every kind, with every filter ----------------------------------------

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, depth):
    """One row of samples [width, channels] to bytes."""
    flat = row.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    if depth == 8:
        return flat.astype(numpy.uint8).tobytes()
    bits = "".join(format(int(value), f"0{depth}b") for value in flat)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def filter_row(kind, row, above, back):
    def predicted(i):
        left = row[i - back] if i >= back else 0
        up = above[i]
        up_left = above[i - back] if i >= back else 0
        if kind == 4:
            nearest = left + up - up_left
            return min((left, up, up_left), key=lambda v: abs(nearest - v))
        return [0, left, up, (left + up) // 2][kind]

    return bytes([kind]) + bytes((row[i] - predicted(i)) % 256 for i in range(len(row)))


def png(samples, depth, colour_type, interlaced=False, extra=b"", after=b"", pieces=1):
    """samples [height, width, channels]; rows take the five filters in turn."""
    height, width, channels = samples.shape
    assert channels == CHANNELS[colour_type]
    back = max(1, channels * depth // 8)
    raw = b""
    for left, top, step_x, step_y in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        grid = samples[top::step_y, left::step_x]
        if grid.size == 0:
            continue
        above = bytes(len(pack_row(grid[0], depth)))
        for y, samples_row in enumerate(grid):
            row = pack_row(samples_row, depth)
            raw += filter_row((y + 4) % 5, row, above, back)
            above = row
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    data = zlib.compress(raw, 9)
    cut = -(-len(data) // pieces)
    body = b"".join(chunk(b"IDAT", data[i : i + cut]) for i in range(0, len(data), cut))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + after + chunk(b"IEND", b"")


def noise(width, height, channels, depth):
    return random.integers(0, 2**depth, (height, width, channels))


def palette(entries):
    return chunk(b"PLTE", random.integers(0, 256, entries * 3).astype(numpy.uint8).tobytes())


def exif(orientation, byte_order):
    order = {"<": b"II", ">": b"MM"}[byte_order]
    entry = struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return order + struct.pack(byte_order + "HIH", 42, 8, 1) + entry + struct.pack(byte_order + "I", 0)


def png_files():
    for depth in (1, 2, 4, 8, 16):
        yield f"grey-{depth}", png(noise(13, 9, 1, depth), depth, 0)
        yield f"grey-{depth}-interlaced", png(noise(13, 9, 1, depth), depth, 0, interlaced=True)
    # 16 bits of grey: every value around the point where Pillow begins to clip
    yield "grey-16-steps", png(numpy.arange(240, 272).reshape(1, 32, 1), 16, 0)
    for depth in (8, 16):
        yield f"rgb-{depth}", png(noise(7, 11, 3, depth), depth, 2)
        yield f"rgb-{depth}-interlaced", png(noise(7, 11, 3, depth), depth, 2, interlaced=True)
        yield f"grey-alpha-{depth}", png(noise(7, 11, 2, depth), depth, 4)
        yield f"rgb-alpha-{depth}", png(noise(7, 11, 4, depth), depth, 6)
        yield f"rgb-alpha-{depth}-interlaced", png(noise(7, 11, 4, depth), depth, 6, interlaced=True)
    for depth in (1, 2, 4, 8):
        yield f"palette-{depth}", png(noise(13, 9, 1, depth), depth, 3, extra=palette(2**depth))
        yield f"palette-{depth}-interlaced", png(noise(13, 9, 1, depth), depth, 3, True, extra=palette(2**depth))
    yield "palette-8-short", png(noise(13, 9, 1, 8), 8, 3, extra=palette(100))
    transparent = chunk(b"tRNS", bytes(range(0, 250, 10)))
    yield "palette-8-transparent", png(noise(13, 9, 1, 4), 8, 3, extra=palette(40) + transparent)
    yield "grey-8-transparent", png(noise(5, 5, 1, 8), 8, 0, extra=chunk(b"tRNS", b"\0\7"))
    yield "rgb-8-transparent", png(noise(5, 5, 3, 8), 8, 2, extra=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    for width, height in ((1, 1), (2, 1), (1, 5), (3, 3), (5, 2)):
        yield f"interlaced-{width}x{height}", png(noise(width, height, 3, 8), 8, 2, interlaced=True)
    yield "exif-3", png(noise(4, 6, 3, 8), 8, 2, after=chunk(b"eXIf", exif(3, ">")))
    yield "many-idat", png(noise(16, 16, 3, 8), 8, 2, pieces=50)


def jpeg(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def resampled(data, sampling):
    """The same coefficients under another chroma sampling: where the block counts agree, still a valid file."""
    at = data.index(b"\xff\xc0") + 11
    return data[:at] + bytes([sampling]) + data[at + 1 :]


def jpeg_files():
    pixels = waves(67, 45)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"{name}-baseline", jpeg(pixels, subsampling=subsampling, quality=80)
        yield f"{name}-progressive", jpeg(pixels, subsampling=subsampling, quality=80, progressive=True)
    yield "grey-baseline", jpeg(pixels[..., 0], quality=85)
    yield "grey-progressive", jpeg(pixels[..., 0], quality=85, progressive=True)
    yield "rgb-colours", jpeg(pixels, keep_rgb=True)
    yield "restart-intervals", jpeg(pixels, restart_marker_blocks=3)
    yield "best", jpeg(waves(40, 40), subsampling=0, quality=100)
    yield "worst", jpeg(pixels, quality=1)
    yield "one-pixel", jpeg(waves(1, 1))
    yield "column", jpeg(waves(1, 33))
    yield "411-baseline", resampled(jpeg(waves(64, 64), subsampling=2), 0x41)
    yield "exif-6", jpeg(waves(24, 16), exif=b"Exif\0\0" + exif(6, "<"))
    yield "exif-8", jpeg(waves(24, 16), exif=b"Exif\0\0" + exif(8, ">"))


# --- what becomes of them ---------------------------------------------------------------------------


def digest(array):
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()


def decode_case(folder, name, data, clauses):
    (folder / name).write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    orientation = opened.getexif().get(0x0112, 1)
    pixels = numpy.asarray(opened.convert("RGB"))
    return {
        "name": name,
        "clauses": clauses,
        "pillowMode": opened.mode,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "exifOrientation": orientation,
        "rgbSha256": digest(pixels),
    }


RESIZES = {
    "waves-60x45": (waves(60, 45), [(60, 45), (60, 20), (30, 45), (336, 252), (17, 90), (90, 17), (1, 1), (1, 300), (300, 1), (59, 46), (448, 336)]),
    "extremes-37x52": (extremes(37, 52), [(37, 52), (336, 472), (36, 51), (10, 10), (5, 200), (200, 5), (74, 104), (19, 26)]),
    "extremes-1x29": (extremes(1, 29), [(1, 1), (7, 29), (336, 9744), (1, 300), (3, 2)]),
    "extremes-29x1": (extremes(29, 1), [(1, 1), (29, 7), (300, 1), (2, 3), (15, 15)]),
    "waves-400x3": (waves(400, 3), [(1, 3), (20, 3), (400, 1), (800, 6), (3, 400)]),
    "waves-2x2": (waves(2, 2), [(1, 2), (2, 1), (3, 3), (100, 100), (1000, 2)]),
}  # fmt: skip


def embedded_cases(folder):
    """The pictures of the embedded model, which lie beside `folder`."""
    for path in sorted((folder.parent / "tiny-llava").iterdir()):
        if path.suffix in (".png", ".jpg"):
            pixels = numpy.asarray(Image.open(path).convert("RGB"))
            yield {"path": f"../tiny-llava/{path.name}", "rgbSha256": digest(pixels)}


def resize_cases(folder):
    for name, (pixels, sizes) in RESIZES.items():
        file = f"{name}.png"
        Image.fromarray(pixels).save(folder / file, optimize=True)
        for width, height in sizes:
            resized = numpy.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
            case = {"input": file, "width": width, "height": height, "rgbSha256": digest(resized)}
            if resized.size <= 3 * 2100:
                raw = f"{name}-to-{width}x{height}.rgb"
                (folder / raw).write_bytes(resized.tobytes())
                case["rgb"] = raw
            yield case


CLIP_336 = {
    "size": {"shortest_edge": 336},
    "crop_size": {"height": 336, "width": 336},
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}
SMALL = {**CLIP_336, "size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 14}}
LARGER_CROP = {**CLIP_336, "size": {"shortest_edge": 20}, "crop_size": {"height": 32, "width": 26}}
HALVES = {**SMALL, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def pad_to_square(image, colour):
    """LLaVA-1.5 pads with the mean colour; the picture stands in the middle, half a pixel up or left if need be."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def pixel_values(pixels, config, mode):
    image = Image.fromarray(pixels)
    if mode == "pad":
        image = pad_to_square(image, tuple(int(mean * 255) for mean in config["image_mean"]))
    # Left to itself, transformers takes a picture of 1 or 3 rows for one whose channels come first.
    values = CLIPImageProcessor(**config).preprocess(image, input_data_format="channels_last")["pixel_values"][0]
    return numpy.asarray(values, dtype=numpy.float32)


def pixel_cases(folder):
    pictures = {
        "landscape-62x45": waves(62, 45),
        "portrait-41x70": waves(41, 70),
        "square-30x30": extremes(30, 30),
        "odd-21x40": waves(21, 40),
    }
    for name, pixels in pictures.items():
        file = f"{name}.png"
        Image.fromarray(pixels).save(folder / file, optimize=True)
        for config_name, config in (("clip-336", CLIP_336), ("small", SMALL), ("larger-crop", LARGER_CROP), ("halves", HALVES)):
            for mode in ("pad", "crop"):
                values = pixel_values(pixels, config, mode)
                expected = (3, config["crop_size"]["height"], config["crop_size"]["width"])
                if values.shape != expected:
                    continue  # an odd rest of black: transformers loses its last row or column
                case = {
                    "input": file,
                    "config": config_name,
                    "mode": mode,
                    "shape": [1, *values.shape],
                    "f32Sha256": digest(values.astype("<f4")),
                }
                if config_name == "small" and mode == "pad":
                    raw = f"{name}-{config_name}-{mode}.f32"
                    (folder / raw).write_bytes(values.astype("<f4").tobytes())
                    case["f32"] = raw
                yield case


def random_size(index):
    """Of ten: one a row or a column, two narrow (up to 1 : 300), one tiny, the others of two sides by themselves."""
    short, long = int(random.integers(2, 12)), int(random.integers(30, 121))
    width, height = (int(numpy.exp(random.uniform(numpy.log(9), numpy.log(900)))) for _ in range(2))
    sides = {0: (1, long // 2), 1: (short, long), 2: (short, 5 * long), 3: (short, int(random.integers(1, 12)))}
    width, height = sides.get(index % 10, (width, height))
    return (height, width) if random.integers(0, 2) else (width, height)


def random_cases(folder, count):
    for index in range(count):
        width, height = random_size(index)
        pixels = extremes(width, height) if index % 3 == 0 else waves(width, height)
        file = f"{index}-{width}x{height}.png"
        Image.fromarray(pixels).save(folder / file)
        for config_name, config in (("clip-336", CLIP_336), ("small", SMALL)):
            for mode in ("pad", "crop"):
                values = pixel_values(pixels, config, mode)
                raw = f"{index}-{config_name}-{mode}.f32"
                (folder / raw).write_bytes(values.astype("<f4").tobytes())
                yield {"input": file, "config": config_name, "mode": mode, "shape": [1, *values.shape], "f32": raw}


def provenance():
    return {
        "script": "scripts/export-golden/preprocess.py",
        "python": ".".join(map(str, sys.version_info[:3])),
        "pillow": PIL.__version__,
        "libjpegTurbo": features.version("libjpeg_turbo"),
        "numpy": numpy.__version__,
        "transformers": transformers.__version__,
    }


def write_manifest(folder, manifest):
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def write_random(folder, count, seed):
    global random
    random = numpy.random.default_rng(seed)
    folder.mkdir(parents=True)
    configs = {"clip-336": CLIP_336, "small": SMALL}
    cases = list(random_cases(folder, count))
    write_manifest(folder, {"provenance": provenance(), "seed": seed, "configs": configs, "pixelValues": cases})


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.suffix in (".png", ".jpg", ".rgb", ".f32", ".json"):
            old.unlink()
    decode = [decode_case(folder, f"{name}.png", data, ["M-1.4"]) for name, data in png_files()]
    decode += [decode_case(folder, f"{name}.jpg", data, ["M-1.4"]) for name, data in jpeg_files()]
    manifest = {
        "description": "Pictures to RGB bytes, resized bytes and pixel values.",
        "provenance": provenance(),
        "tolerance": "exact",
        "configs": {"clip-336": CLIP_336, "small": SMALL, "larger-crop": LARGER_CROP, "halves": HALVES},
        "decode": decode,
        "embedded": list(embedded_cases(folder)),
        "resize": list(resize_cases(folder)),
        "pixelValues": list(pixel_cases(folder)),
    }
    write_manifest(folder, manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.random > 0:
        write_random(options.folder, options.random, options.seed)
    else:
        main(options.folder)
