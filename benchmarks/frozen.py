"""How often a still scene at night is taken for a frozen picture, and a frozen picture with a running clock noticed.

    python benchmarks/frozen.py FOLDER [PHOTOGRAPHS]

Each photograph is a scene that a camera films for some minutes, a picture a second, in H.264: dark, with the noise that
is left after the camera has smoothed it. Printed for each bit rate and noise: for how many scenes two pictures of
different groups of pictures (a key frame between them) have the same middle to the pixel, which half an hour long would
be `frozen`; and for how many the same holds where the camera is frozen but for its clock. As JPEGs, too.
"""

import io
import sys
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.collect.look import glance

SIZE, SECONDS, GROUP = (640, 480), 24, 8  # pixels; of a scene; between two key frames


def scene(photo: Image.Image, second: int, noise: float, seed: int) -> NDArray[np.uint8]:
    """A second of it, dark and noisy, with the time in its corner. noise: levels, 0: the camera is frozen."""
    rng = np.random.default_rng([seed, second])
    dark = np.asarray(photo, np.float32) * 0.25 + 8
    image = Image.fromarray(np.clip(dark + rng.normal(0, noise, dark.shape) + 0.5, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).text((8, 6), f"2026-11-26 02:10:{second:02d}", fill="white", font_size=24)
    return np.asarray(image)


def as_video(pictures: list[NDArray[np.uint8]], kilobits: int) -> list[NDArray[np.uint8]]:
    """The pictures after H.264."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mp4") as out:
        stream = out.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.bit_rate, stream.gop_size = kilobits * 1000, GROUP
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0"}
        for pixels in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as opened:
        return [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]


def as_jpegs(pictures: list[NDArray[np.uint8]], quality: int) -> list[NDArray[np.uint8]]:
    """The pictures after JPEG."""
    found = []
    for pixels in pictures:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(buffer)))
    return found


def repeats(pictures: list[NDArray[np.uint8]]) -> bool:
    """Whether all pictures of the last two groups have one middle: one of half an hour would count as frozen."""
    return len({glance(pixels).middle for pixels in pictures[GROUP + 1 :: GROUP - 1]}) == 1


def main(folder: Path, most: int) -> None:
    """Print a line for each way."""
    photos = [Image.open(file).convert("RGB").resize(SIZE) for file in sorted(folder.glob("*.jpg"))[:most]]
    for noise in (2.0, 0.7, 0.3, 0.0):
        filmed = [[scene(photo, at, noise, number) for at in range(SECONDS)] for number, photo in enumerate(photos)]
        what = f"still, noise of {noise} levels" if noise else "frozen but for its clock"
        for quality in (90, 50):
            count = sum(repeats(as_jpegs(one, quality)) for one in filmed)
            print(f"{what}: JPEG, quality {quality}: {count} of {len(filmed)}")
        for kilobits in (500, 50, 10):
            count = sum(repeats(as_video(one, kilobits)) for one in filmed)
            print(f"{what}: H.264, {kilobits} kbit/s: {count} of {len(filmed)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
