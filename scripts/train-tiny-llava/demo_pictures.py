"""Pictures to show: larger renderings of scenes that training has not seen. python demo_pictures.py golden/tiny-llava"""

import sys
from pathlib import Path

import numpy
from PIL import Image
from recipe import SEED
from scenes import draw_scene, picture_of

STREAM = 10  # of random numbers; training uses 0 to 5
CHOSEN = (8, 2, 5, 11)  # by eye, of the first twelve
SCALE = 2


def demo_picture(number):
    random = numpy.random.default_rng((SEED, STREAM, number))
    scene = draw_scene(random, object_count=3 + number % 3)
    return Image.fromarray(picture_of(scene, random, SCALE))


if __name__ == "__main__":
    for i, number in enumerate(CHOSEN):
        demo_picture(number).save(Path(sys.argv[1]) / f"demo-{i + 1}.jpg", quality=90)
