"""Draws the moving pictures of the documentation.

After `make demo`, beside a running `yolostream run --demo`, with Debian's Chromium:
`PYTHONPATH=tests python -m tests.moving_pictures`.

`docs/images/tiled.webp` is a part of `output/tiled.mp4`, and `docs/images/live.webp` the live page.
"""

from __future__ import annotations

import io
import time
from pathlib import Path

import av
import typer
from chromium import chromium
from PIL import Image

IMAGES = Path("docs/images")
QUALITY = 55
SECONDS = 5.0


def tiled(
    video: Path = Path("output/tiled.mp4"), *, width: int = 960, frames_per_s: float = 8
) -> None:
    """Write the tiled video as an animation.

    Args:
        video: A video of at least 10 s; a part from its middle is taken.
        width: Width of the animation in pixels.
        frames_per_s: Frame rate of the animation.
    """
    begins = 4.0
    with av.open(str(video)) as container:
        due, pictures = begins, []
        for frame in container.decode(video=0):
            if frame.time is not None and due <= frame.time:
                pictures.append(_scaled(Image.fromarray(frame.to_ndarray(format="rgb24")), width))
                due += 1 / frames_per_s
            if due > begins + SECONDS:
                break
    _write(IMAGES / "tiled.webp", pictures, frames_per_s)


def page(url: str = "http://127.0.0.1:8080", *, width: int = 960, frames_per_s: float = 4) -> None:
    """Write the live page as an animation.

    Args:
        url: The address at which `yolostream run --demo` serves the page.
        width: Width of the animation in pixels.
        frames_per_s: Frame rate of the animation; Chromium takes only a few screenshots a second.
    """
    with chromium() as open_window:
        window = open_window()
        window.look(width=1280, height=800)
        window.open(url)
        time.sleep(45)  # The plots need some history.
        pictures = []
        began = time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS:
            pictures.append(
                _scaled(Image.open(io.BytesIO(window.driver.get_screenshot_as_png())), width)
            )
            time.sleep(max(0.0, len(pictures) / frames_per_s - passed))
    _write(IMAGES / "live.webp", pictures, len(pictures) / SECONDS)


def _scaled(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _write(path: Path, pictures: list[Image.Image], frames_per_s: float) -> None:
    first, *others = pictures
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / frames_per_s),
        loop=0,
        quality=QUALITY,
        method=6,
    )
    typer.echo(f"{path}: {len(pictures)} pictures, {path.stat().st_size:,} bytes")


def main() -> None:
    """Write both animations."""
    tiled()
    page()


if __name__ == "__main__":
    main()
