"""Draws Chinese number plates of every kind of the grammar, and spoils them as cameras do; seeded, from free fonts."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gateway.cli.demo.glyphs import STROKES
from gateway.vision.grammar import ENERGY, ISSUERS, LETTERS, PROVINCES, SERIAL, SHAPES, kind_of

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

# Debian packages fonts-noto-cjk(-extra), fonts-wqy-*, fonts-droid-fallback, fonts-opendin, fonts-roboto-unhinted,
# fonts-liberation, fonts-b612, fonts-clear-sans, fonts-arphic-gkai00mp, fonts-arphic-gbsn00lp, fonts-mplus,
# fonts-cabin, fonts-dosis, fonts-jura, fonts-play, fonts-cantarell, fonts-lato, fonts-open-sans, fonts-dejavu-extra.
# Those of the test are never used in training.
CHINESE_FONTS: Mapping[str, Sequence[str]] = {
    "train": (
        "opentype/noto/NotoSansCJK-Regular.ttc",
        "opentype/noto/NotoSansCJK-DemiLight.ttc",
        "opentype/noto/NotoSansCJK-Bold.ttc",
        "opentype/noto/NotoSansCJK-Black.ttc",
        "truetype/wqy/wqy-microhei.ttc",
        "opentype/noto/NotoSansCJK-Light.ttc",
        "opentype/noto/NotoSerifCJK-Bold.ttc",
        "truetype/arphic-gkai00mp/gkai00mp.ttf",
        "truetype/arphic-gbsn00lp/gbsn00lp.ttf",
    ),
    "test": (
        "truetype/wqy/wqy-zenhei.ttc",
        "truetype/droid/DroidSansFallbackFull.ttf",
        "opentype/noto/NotoSansCJK-Medium.ttc",
    ),
}
LATIN_FONTS: Mapping[str, Sequence[str]] = {
    "train": (
        *("strokes",) * 9,
        "truetype/opendin/OSP-DIN.ttf",
        "truetype/opendin/OSP-DIN.ttf",
        "truetype/opendin/OSP-DIN.ttf",
        "opentype/noto/NotoSansCJK-Regular.ttc",
        "truetype/roboto/unhinted/RobotoCondensed-Regular.ttf",
        "truetype/roboto/unhinted/RobotoCondensed-Bold.ttf",
        "truetype/liberation/LiberationSansNarrow-Bold.ttf",
        "truetype/clear-sans/ClearSans-Medium.ttf",
        "opentype/b612/B612-Regular.otf",
        "opentype/b612/B612-Bold.otf",
        "opentype/mplus/MplusCodeLatin50-Medium.otf",
        "opentype/mplus/MplusCodeLatin50-Bold.otf",
        "opentype/cabin/Cabin-Medium.otf",
        "opentype/dosis/Dosis-Medium.otf",
        "opentype/dosis/Dosis-Bold.otf",
        "opentype/jura/Jura-SemiBold.otf",
        "opentype/play/Play-Regular.otf",
        "opentype/cantarell/Cantarell-Bold.otf",
        "truetype/lato/Lato-Medium.ttf",
        "truetype/open-sans/OpenSans-CondBold.ttf",
        "truetype/dejavu/DejaVuSansCondensed.ttf",
        "truetype/dejavu/DejaVuSansCondensed-Bold.ttf",
    ),
    "test": (
        "truetype/roboto/unhinted/RobotoCondensed-Medium.ttf",
        "truetype/liberation/LiberationSansNarrow-Regular.ttf",
        "truetype/clear-sans/ClearSans-Bold.ttf",
    ),
}
FONTS = Path("/usr/share/fonts")
SIMPLIFIED = 2  # the face of Noto's collections with the forms of the mainland

GLYPH = (96, 192)  # width and height in pixels of a glyph's mask; a character of a plate is 45 x 90 mm
SCALE = 0.5  # pixels a millimetre while drawing

WHITE, BLACK, RED = (240, 240, 240), (18, 18, 18), (40, 40, 200)
BLUE, YELLOW, GREEN = (170, 60, 10), (20, 170, 235), (120, 190, 100)


@dataclass(frozen=True, slots=True)
class Style:
    """Ground and strokes in BGR, the colour of the first or last character where it differs, and what there is of it.

    ``red`` names the characters that are red; ``double`` is the share of plates with two rows.
    """

    ground: tuple[int, int, int]
    strokes: tuple[int, int, int]
    red: str = ""
    double: float = 0.0
    second: tuple[int, int, int] | None = None


STYLES: Mapping[str, Sequence[Style]] = {
    "ordinary": (
        Style(BLUE, WHITE),
        Style(BLUE, WHITE),
        Style(BLUE, WHITE),
        Style(YELLOW, BLACK, double=0.5),
        Style(YELLOW, BLACK, double=0.5),
    ),
    "nev_small": (Style(GREEN, BLACK, second=(225, 235, 225)),),
    "nev_large": (Style(GREEN, BLACK, second=YELLOW),),
    "hk_macau": (Style(BLACK, WHITE),),
    "trailer": (Style(YELLOW, BLACK, double=1.0),),  # GA 36 has them in two rows alone
    "coach": (Style(YELLOW, BLACK),),
    "police": (Style(WHITE, BLACK, red="警"),),
    "embassy": (Style(BLACK, WHITE, red="使"), Style(GREEN, BLACK, second=(225, 235, 225))),
    "consulate": (Style(BLACK, WHITE, red="领"),),
    "armed_police": (Style(WHITE, BLACK, red="WJ" + PROVINCES, double=0.3),),
    "military": (Style(WHITE, BLACK, red=LETTERS, double=0.3),),
    "civil_aviation": (Style((90, 120, 20), WHITE),),
}
KINDS = tuple(STYLES)
ALWAYS_DOUBLE = frozenset(kind for kind, styles in STYLES.items() if all(style.double == 1.0 for style in styles))
DOTTED = frozenset({"ordinary", "consulate", "hk_macau", "coach", "police"})
# What a gate sees: ordinary and new-energy plates, and of all others enough to learn them.
SHARES: Mapping[str, float] = {"ordinary": 10.0, "nev_small": 4.0, "nev_large": 1.5}


def random_text(kind: str, chance: random.Random) -> str:
    """Make up a plate of this kind that may exist; most characters of a serial are digits, as on the road."""
    while True:
        text = _random_text(kind, chance)
        # 粤Z is for Hong Kong and Macau; O is an issuer on older official plates alone; no army plate has an I or an O.
        old = kind in ("ordinary", "police")
        if kind_of(text) == kind and (old or text[1] != "O") and (kind != "military" or not set("IO") & set(text)):
            return text


def _random_text(kind: str, chance: random.Random) -> str:
    shapes = [shape for name, shape in SHAPES if name == kind]
    shape = chance.choice(shapes)
    text = ""
    for place, symbols in enumerate(shape):
        if symbols == SERIAL:
            text += chance.choice("0123456789" if chance.random() < 0.62 else SERIAL[10:])
        elif symbols == ISSUERS and place == 1:
            text += chance.choice("A" if chance.random() < 0.2 else ISSUERS)
        elif symbols == ENERGY:
            text += chance.choice("DF" if chance.random() < 0.6 else ENERGY)
        else:
            text += chance.choice(symbols)
    return text


def random_kind(chance: random.Random) -> str:
    """Choose a kind by ``SHARES``."""
    return chance.choices(KINDS, [SHARES.get(kind, 1.0) for kind in KINDS])[0]


@lru_cache(maxsize=64)
def _font(path: str) -> ImageFont.FreeTypeFont:
    index = SIMPLIFIED if path.endswith(".ttc") and "Noto" in path else 0
    return ImageFont.truetype(str(FONTS / path), 180, index=index)


@lru_cache(maxsize=8192)
def _glyph(path: str, symbol: str) -> Picture:
    """The mask of one character, filling its cell; a narrow one (1, I, J) keeps its shape."""
    if path == "strokes":
        if symbol in STROKES:
            return _stroked(symbol)
        path = "truetype/opendin/OSP-DIN.ttf"
    font = _font(path)
    canvas = Image.new("L", (320, 320), 0)
    ImageDraw.Draw(canvas).text((60, 40), symbol, font=font, fill=255)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"{path} has no {symbol}; install the fonts that models/plates/README.md names")
    mask = np.asarray(canvas.crop(box))
    wide, tall = GLYPH
    height, width = mask.shape
    if width / height < 0.38:
        target = min(wide, max(12, int(width / height * tall * 1.05)))
        shrunk = cv2.resize(mask, (target, tall), interpolation=cv2.INTER_AREA)
        left = (wide - target) // 2
        return np.pad(shrunk, ((0, 0), (left, wide - target - left)))
    return cv2.resize(mask, (wide, tall), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _stroked(symbol: str) -> Picture:
    """A digit or letter drawn with an even line, which comes closest to the plates' own typeface."""
    mask = np.zeros((GLYPH[1], GLYPH[0]), np.uint8)
    for stroke in STROKES[symbol]:
        points = [(x / 45 * GLYPH[0], y / 90 * GLYPH[1]) for x, y in stroke]
        cv2.polylines(mask, [np.array(points, np.float32).round().astype(np.int32)], False, 255, 19, cv2.LINE_AA)
    return mask


@dataclass(frozen=True, slots=True)
class Drawn:
    """A clean plate: BGR picture, what it says, its kind, and whether it has two rows."""

    picture: Picture
    text: str
    kind: str
    double: bool


def draw(text: str, kind: str, chance: random.Random, split: str = "train", double: bool | None = None) -> Drawn:
    """Draw one plate as GA 36 lays it out (millimetres: 440 x 140; new energy 480 x 140; two rows 440 x 220)."""
    style = chance.choice(STYLES[kind])
    if double is None:
        double = chance.random() < style.double and len(text) == 7
    chinese, latin = chance.choice(CHINESE_FONTS[split]), chance.choice(LATIN_FONTS[split])
    wide = 480 if len(text) == 8 else 440
    tall = 220 if double else 140
    ground = _ground(style, wide, tall, chance)
    red = style.red if chance.random() < 0.85 else ""
    thickness = chance.choice((-3, -2, -1, 0, 0, 0, 1, 2))
    for place, (symbol, (x, y, width, height)) in enumerate(zip(text, _cells(text, kind, double), strict=True)):
        if symbol in red and not (kind == "military" and place > 1) and not (kind == "armed_police" and place > 2):
            colour = RED
        else:
            colour = style.strokes
        mask = _glyph(latin if symbol.isascii() else chinese, symbol)
        # A plate's Chinese characters have lines of some 5 mm, free fonts less: made thinner they would be gone.
        more = thickness if symbol.isascii() else max(0, thickness)
        if more:
            kernel = np.ones((2 * abs(more) + 1,) * 2, np.uint8)
            mask = cv2.dilate(mask, kernel) if more > 0 else cv2.erode(mask, kernel)  # type: ignore[assignment]
        _stamp(ground, mask, (x, y, width, height), colour)
    _furnish(ground, style, chance, dotted=kind in DOTTED and not double)
    if split == "train" and chance.random() < 0.7:
        ground = _wavy(ground, chance)
    return Drawn(ground, text, kind, double)


def _furnish(ground: Picture, style: Style, chance: random.Random, *, dotted: bool) -> None:
    """Add the dot after the issuer, the frame and the screws."""
    if dotted and chance.random() < 0.9:
        middle = (int(136.5 * SCALE), int(70 * SCALE))
        cv2.circle(ground, middle, max(1, int(chance.uniform(4, 6) * SCALE)), style.strokes, -1, cv2.LINE_AA)
    if chance.random() < 0.85:
        inset, line = int(chance.uniform(3, 8) * SCALE), chance.randint(1, 2)
        high, broad = ground.shape[:2]
        cv2.rectangle(ground, (inset, inset), (broad - inset - 1, high - inset - 1), style.strokes, line, cv2.LINE_AA)
    for x in (0.22, 0.78):
        for y in (0.07, 0.93):
            if chance.random() < 0.4:
                spot = (int((x + chance.uniform(-0.03, 0.03)) * ground.shape[1]), int(y * ground.shape[0]))
                shade = chance.randint(60, 220)
                cv2.circle(ground, spot, int(chance.uniform(4, 9) * SCALE), (shade, shade, shade), -1, cv2.LINE_AA)


def _wavy(picture: Picture, chance: random.Random) -> Picture:
    """Bend the strokes a little: the plates' own typeface is in no free font, so shapes must not matter too much."""
    tall, wide = picture.shape[:2]
    dice = np.random.default_rng(chance.getrandbits(64))
    reach = chance.uniform(0.3, 2.2) * SCALE * 2
    waves = dice.normal(0, reach, (2, 5, 16)).astype(np.float32)
    field = [cv2.resize(wave, (wide, tall), interpolation=cv2.INTER_CUBIC) for wave in waves]
    x, y = np.meshgrid(np.arange(wide, dtype=np.float32), np.arange(tall, dtype=np.float32))
    return cv2.remap(picture, x + field[0], y + field[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _cells(text: str, kind: str, double: bool) -> list[tuple[float, float, float, float]]:
    if double:
        top = [(110.0, 15.0, 80.0, 60.0), (250.0, 15.0, 80.0, 60.0)]
        return top + [(27.5 + 80 * place, 90.0, 65.0, 110.0) for place in range(5)]
    if len(text) == 8 and kind.startswith("nev"):
        cells = [(15.5, 25.0, 45.0, 90.0), (69.5, 25.0, 43.0, 90.0)]
        return cells + [(161.5 + 52 * place, 25.0, 43.0, 90.0) for place in range(6)]
    if len(text) == 8:
        return [(18 + 56 * place, 25.0, 46.0, 90.0) for place in range(8)]
    if kind in ("embassy", "military", "armed_police", "civil_aviation"):
        return [(20 + 58.5 * place, 25.0, 45.0, 90.0) for place in range(7)]
    cells = [(15.5, 25.0, 45.0, 90.0), (72.5, 25.0, 45.0, 90.0)]
    return cells + [(151.5 + 57 * place, 25.0, 45.0, 90.0) for place in range(5)]


def _ground(style: Style, wide: int, tall: int, chance: random.Random) -> Picture:
    size = (int(tall * SCALE), int(wide * SCALE))
    jitter = np.array([chance.gauss(0, 14) for _ in range(3)], np.float32)
    first = np.array(style.ground, np.float32) + jitter
    ground = np.broadcast_to(first, (*size, 3)).copy()
    if style.second is not None:
        other = np.array(style.second, np.float32) + jitter
        if style.second == YELLOW:
            ground[:, : int(size[1] * 0.28)] = other  # a large new-energy plate is yellow behind its first two
        else:
            share = np.linspace(1, 0, size[0], dtype=np.float32)[:, None, None] ** chance.uniform(0.7, 1.5)
            ground = np.broadcast_to(other * share + first * (1 - share), ground.shape)
    return np.clip(ground, 0, 255).astype(np.uint8)


def _stamp(
    ground: Picture, mask: Picture, cell: tuple[float, float, float, float], colour: tuple[int, int, int]
) -> None:
    x, y, width, height = (round(value * SCALE) for value in cell)
    alpha = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    part = ground[y : y + height, x : x + width]
    alpha = alpha[: part.shape[0], : part.shape[1]]
    part[:] = (part * (1 - alpha) + np.array(colour, np.float32) * alpha).astype(np.uint8)


# ------------------------------------------------------------------------------------------------ what a camera does


def spoil(picture: Picture, size: tuple[int, int], chance: random.Random, level: float = 0.6) -> Picture:
    """Take a plate as a camera and a detector would: slant, light, dirt, blur, few pixels, noise, JPEG; BGR ``size``.

    ``size`` is (width, height) of the crop that the recogniser gets; ``level`` from 0 (clean) to 1 (hardly readable).
    """
    noise = np.random.default_rng(chance.getrandbits(64))
    pixels = _light(picture.astype(np.float32), chance, level)
    crop = _slant(pixels, size, chance, level)
    width = int(size[0] * min(1.0, np.exp(chance.uniform(np.log(0.85 - 0.6 * level), np.log(1.5)))))
    small: Any = cv2.resize(crop, (width, max(8, int(width * size[1] / size[0]))), interpolation=cv2.INTER_AREA)
    small = _blur(small, chance, level)
    grain = chance.uniform(0, 1) ** 2 * 26 * level
    if grain > 0.5:
        small = small + noise.normal(0, grain, small.shape).astype(np.float32)
    if chance.random() < 0.12:
        grey = small.mean(axis=2, keepdims=True)  # infrared at night
        small = np.repeat(grey, 3, axis=2)
    bytes_like = np.clip(small, 0, 255).astype(np.uint8)
    if chance.random() < 0.75:
        quality = int(chance.uniform(92 - 65 * level, 96))
        subsampled = cv2.imencode(".jpg", bytes_like, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        bytes_like = cv2.imdecode(subsampled, cv2.IMREAD_COLOR)
    how = chance.choice((cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    return np.asarray(cv2.resize(bytes_like, size, interpolation=how), np.uint8)


def _light(pixels: Plane, chance: random.Random, level: float) -> Plane:
    tall, wide = pixels.shape[:2]
    if chance.random() < 0.5 * level:  # dirt
        for _ in range(chance.randint(1, 5)):
            spot = (chance.randrange(wide), chance.randrange(tall))
            shade = float(chance.randint(40, 160))
            cv2.ellipse(
                pixels,
                spot,
                (chance.randint(2, max(3, int(26 * level))), chance.randint(2, max(3, int(14 * level)))),
                chance.uniform(0, 180),
                0,
                360,
                (shade, shade * 0.95, shade * 0.9),
                -1,
            )
    if chance.random() < 0.35:  # a shadow's edge, or the sun on one side
        ramp = np.linspace(chance.uniform(0.35, 1), chance.uniform(0.35, 1), wide, dtype=np.float32)
        if chance.random() < 0.4:
            ramp = np.where(np.arange(wide) < chance.randrange(wide), ramp.min(), ramp.max()).astype(np.float32)
        pixels = pixels * ramp[None, :, None]
    if chance.random() < 0.15 * level:  # glare
        y, x = np.ogrid[:tall, :wide]
        reach = chance.uniform(20, 90)
        far = ((x - chance.randrange(wide)) ** 2 + (y - chance.randrange(tall)) ** 2).astype(np.float32)
        pixels = pixels + 200 * np.exp(-far / reach**2)[..., None]
    contrast, bright = chance.uniform(1 - 0.65 * level, 1.25), chance.uniform(-60, 45) * level
    tint = np.array([chance.uniform(1 - 0.25 * level, 1 + 0.25 * level) for _ in range(3)], np.float32)
    mean = float(pixels.mean())
    return ((pixels - mean) * contrast + mean + bright) * tint


def _slant(pixels: Plane, size: tuple[int, int], chance: random.Random, level: float) -> Plane:
    tall, wide = pixels.shape[:2]
    out_wide, out_tall = size
    loose = 0.02 + 0.10 * level * chance.random()
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    corner += np.array([[chance.gauss(0, loose * 0.35), chance.gauss(0, loose)] for _ in range(4)], np.float32)
    if chance.random() < 0.5:  # a box around a slanted plate, as a detector without corners cuts it
        rise, lean = chance.gauss(0, 0.16 * level + 0.02), chance.gauss(0, 0.05 * level)
        corner[:, 1] += rise * (corner[:, 0] - 0.5)
        corner[:, 0] += lean * (corner[:, 1] - 0.5)
    air = np.array([chance.uniform(0.0, 0.05), chance.uniform(-0.02, 0.12)], np.float32)
    low, high = corner.min(axis=0), corner.max(axis=0)
    fitted = (corner - low) / (high - low) * (1 - 2 * air) + air
    goal = (fitted * np.array([out_wide, out_tall])).astype(np.float32)
    source = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, goal)
    around = [float(chance.randint(10, 220))] * 3
    around = [value + chance.uniform(-20, 20) for value in around]
    scale = cv2.INTER_AREA if wide > 2 * out_wide else cv2.INTER_LINEAR
    return cv2.warpPerspective(  # type: ignore[return-value]
        pixels, matrix, size, flags=scale, borderMode=cv2.BORDER_CONSTANT, borderValue=around
    )


def _blur(pixels: Plane, chance: random.Random, level: float) -> Plane:
    if chance.random() < 0.6:
        pixels = cv2.GaussianBlur(pixels, (0, 0), chance.uniform(0.2, 0.3 + 1.3 * level))  # type: ignore[assignment]
    if chance.random() < 0.35 * level + 0.05:
        length = chance.randint(2, 2 + int(6 * level))
        kernel = np.zeros((length, length), np.float32)
        angle = chance.uniform(0, np.pi)
        reach = (length - 1) / 2
        step = np.array([np.cos(angle), np.sin(angle)]) * reach
        centre = np.array([reach, reach])
        cv2.line(kernel, tuple((centre - step).round().astype(int)), tuple((centre + step).round().astype(int)), 1.0)
        pixels = cv2.filter2D(pixels, -1, kernel / max(1.0, float(kernel.sum())))  # type: ignore[assignment]
    return pixels
