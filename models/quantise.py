"""Makes an int8 form of our own plate reader (static ranges, from drawn plates), compares it, and packs it as a .zip.

Usage: .venv/bin/python models/quantise.py OUT.zip [FOLDER]   needs the extra `train`. FOLDER holds real crops named by
their text (default: ../shared/media/plates/crops); of them only the half is used that training never saw.
The pack is installed with: linli model install OUT.zip; linli model use plate-reader-linli-int8
"""

import hashlib
import random
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "plates"))
from render import draw, random_kind, random_text, spoil

from gateway.vision.packs import Pack, packs
from gateway.vision.selftest import open_tested

FOLDER = Path(__file__).parent
CROPS = FOLDER.parents[1] / "shared" / "media" / "plates" / "crops"
NAME = "plate-reader-linli"
CALIBRATION, COMPARED = 200, 600
WIDE, TALL = 144, 40
SURE = 0.9


def drawn(count: int, seed: int, split: str) -> list[tuple[str, Any]]:
    """Spoiled plates with one row, of all kinds, as the model takes them."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        kind = random_kind(chance)
        plate = draw(random_text(kind, chance), kind, chance, split, double=False)
        found.append((plate.text, spoil(plate.picture, (WIDE, TALL), chance, chance.random() * 0.6)))
    return found


def real(folder: Path) -> list[tuple[str, Any]]:
    """The crops of the half that is for tests (models/plates/train.py)."""
    paths = [path for path in sorted(folder.glob("*.jpg")) if hashlib.sha256(path.stem.encode()).digest()[0] & 1]
    return [
        (path.stem, cv2.resize(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), (WIDE, TALL)))
        for path in paths
    ]


def quantised(pack: Pack, place: Path) -> Pack:
    """The pack with its weights and steps in 8 bits; ranges from drawn plates of the training's fonts."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    pictures = iter(drawn(CALIBRATION, 5, "train"))

    class Feed(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            _, crop = next(pictures, ("", None))
            if crop is None:
                return None
            pixels = crop.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
            return {"plate": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}

    ready, out = place / "ready.onnx", place / "plates-int8.onnx"
    quant_pre_process(str(pack.path), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(out),
        Feed(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    return replace(pack, name=f"{NAME}-int8", path=out, sha256=digest)


def compare(pack: Pack, sources: dict[str, list[tuple[str, Any]]]) -> None:
    """Print what a pack costs on its golden picture and how it reads."""
    opened = open_tested(pack)
    print(f"{pack.title}: {pack.path.stat().st_size / 1e6:.1f} MB, {opened.cost * 1000:.2f} ms a look")
    for source, plates in sources.items():
        reads = [(text, opened.model.read(crop)) for text, crop in plates]
        right = sum(read is not None and read.text == text for text, read in reads)
        sure = [read.text == text for text, read in reads if read is not None and read.weakest >= SURE]
        share = right / max(1, len(reads))
        told = f"{right} of {len(reads)} right ({share:.1%})"
        print(f"  {source}: {told}; sure {len(sure)}, of them wrong {sure.count(False)}")


def main() -> int:
    """Make, compare, pack."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    pack = next(one for one in packs(FOLDER) if one.name == NAME)
    sources = {"drawn (synthetic, fonts of the test)": drawn(COMPARED, 77, "test")}
    crops = real(Path(sys.argv[2]) if len(sys.argv) > 2 else CROPS)
    if crops:
        sources["real crops, held out"] = crops
    with tempfile.TemporaryDirectory() as place:
        small = quantised(pack, Path(place))
        for one in (pack, small):
            compare(one, sources)
        manifest = (pack.folder / "manifest.toml").read_text()
        for old, new in (
            (f'"{NAME}"', f'"{small.name}"'),
            (pack.sha256, small.sha256),
            ("built in", "models/quantise.py"),
        ):
            manifest = manifest.replace(old, new)
        manifest = manifest.replace(f'file = "{pack.path.name}"', f'file = "{small.path.name}"')
        with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.toml", manifest)
            archive.write(small.path, small.path.name)
            archive.write(pack.folder / "golden.jpg", "golden.jpg")
    print(f"packed as {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
