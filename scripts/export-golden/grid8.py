"""grid8-v1: numbers from names, the same in every language. SPEC G-1.4.

    seed = FNV-1a-64(name)    z = splitmix64(seed + i * 0x9E3779B97F4A7C15), i from 1    q = (z >> 56) % 255 - 127

All numbers that a case begins with come from here, so that nothing depends on a library's random generator.
"""

import math

import numpy

MASK = 0xFFFFFFFFFFFFFFFF


def fnv1a(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def splitmix64(name, count):
    """The first `count` 64-bit integers of the stream `name`."""
    with numpy.errstate(over="ignore"):
        z = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15) + numpy.uint64(fnv1a(name))
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def grid8(name, count):
    """`count` integers from -127 to 127."""
    return ((splitmix64(name, count) >> numpy.uint64(56)) % numpy.uint64(255)).astype(numpy.int64) - 127


def draw(name, low, high):
    """One integer from `low` to `high`, both included."""
    return low + int(splitmix64(name, 1)[0] >> numpy.uint64(11)) % (high - low + 1)


def values(name, shape, exp):
    """q * 2^(exp - 7), in float64."""
    return grid8(name, math.prod(shape)).reshape(shape) * 2.0 ** (exp - 7)


def gains(name, shape):
    """Norm weights, from 0.5 to 1.5."""
    return (64 + numpy.floor_divide(grid8(name, math.prod(shape)).reshape(shape), 4)) / 64.0


def keeping_size(inputs):
    """The exponent with which a sum over `inputs` terms keeps the size of what goes in."""
    return round(math.log2(1.74 / math.sqrt(inputs)))
