"""Questions about a scene and their only right answers, as src/eval/questions.ts draws them. SPEC E-1.4 to E-1.6."""

from scenes import COLORS, PLACES, SHAPES

NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five")
TYPES = ("color", "shape", "count", "where", "what", "yesno", "ncolor", "caption")


def capital(text):
    return text[:1].upper() + text[1:]


def pick(random, values):
    return values[random.integers(len(values))]


def matching(objects, color, shape):
    return [one for one in objects if one.color == color and one.shape == shape]


def draw_question(kind, scene, random):
    """(question, answer), or None where the scene allows no question of this kind."""
    return ASK[kind](scene.objects, random)


def ask_color(objects, random):
    unique = [one for one in objects if sum(other.shape == one.shape for other in objects) == 1]
    if not unique:
        return None
    one = pick(random, unique)
    forms = ("What color is the {}?", "What is the color of the {}?")
    return pick(random, forms).format(SHAPES[one.shape]), capital(COLORS[one.color])


def ask_shape(objects, random):
    unique = [one for one in objects if sum(other.color == one.color for other in objects) == 1]
    if not unique:
        return None
    one = pick(random, unique)
    forms = ("What shape is the {} object?", "What is the shape of the {} object?")
    return pick(random, forms).format(COLORS[one.color]), capital(SHAPES[one.shape])


def ask_count(objects, random):
    return pick(random, ("How many objects are there?", "How many objects are in the image?")), NUMBERS[len(objects)]


def ask_where(objects, random):
    unique = [one for one in objects if len(matching(objects, one.color, one.shape)) == 1]
    if not unique:
        return None
    one = pick(random, unique)
    return f"Where is the {COLORS[one.color]} {SHAPES[one.shape]}?", capital(PLACES[one.cell])


def ask_what(objects, random):
    cell = pick(random, objects).cell if random.integers(4) < 3 else int(random.integers(9))
    found = [one for one in objects if one.cell == cell]
    forms = ("What is in the {}?", "What do you see in the {}?")
    answer = f"A {COLORS[found[0].color]} {SHAPES[found[0].shape]}" if found else "Nothing"
    return pick(random, forms).format(PLACES[cell]), answer


def ask_yes_no(objects, random):
    one = pick(random, objects)
    color, shape, answer = one.color, one.shape, "Yes"
    if random.integers(2):
        pairs = [(c, s) for c in range(len(COLORS)) for s in range(len(SHAPES))]
        absent = [pair for pair in pairs if not matching(objects, *pair)]
        alike = [(c, s) for c, s in absent if c == one.color or s == one.shape]
        (color, shape), answer = pick(random, alike if random.integers(5) < 4 else absent), "No"
    return f"Is there a {COLORS[color]} {SHAPES[shape]}?", answer


def ask_color_count(objects, random):
    color = pick(random, objects).color if random.integers(2) else int(random.integers(len(COLORS)))
    count = sum(one.color == color for one in objects)
    return f"How many {COLORS[color]} objects are there?", NUMBERS[count]


def ask_caption(objects, random):
    parts = [f"a {COLORS[one.color]} {SHAPES[one.shape]} in the {PLACES[one.cell]}" for one in objects]
    return pick(random, ("Describe the image.", "What is in the image?")), f"{capital(', '.join(parts))}."


ASK = {
    "color": ask_color,
    "shape": ask_shape,
    "count": ask_count,
    "where": ask_where,
    "what": ask_what,
    "yesno": ask_yes_no,
    "ncolor": ask_color_count,
    "caption": ask_caption,
}
