"""Make the README's animated picture from the guided tour.

    python screenshots/tour.py

It runs the tour on a simulated Amplitude, keeps its key moments, and writes
`screenshots/tour.webp`. It takes about three minutes, and needs what `screenshots/render.py` needs.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from PIL import Image, ImageChops, ImageSequence

from amp_console.console import LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.appearance import DARK
from amp_console.demo import SimulatedSession
from amp_console.demo.guided_tour import GuidedTour
from amp_console.demo.tour import TourStep, tour_steps
from screenshots.render import render, size_of

FILE = Path(__file__).parent / "tour.webp"
SIZE = 100, 28  # columns and lines
HOME = Path("/tmp/amp-console-demo")  # noqa: S108  # short: the live view shows it
WIDTH = 1680  # pixels
MAX_BYTES = 3_000_000
SETTLE = 0.4  # seconds from a caption until the screen is painted
SYNC_SECONDS, SYNC_EVERY = 0.35, 1.2
"""How long a moment of the sync is shown, and the seconds between two moments."""
MOMENTS = {
    "Each line is an audience": 3.2,
    "Newsletter has": 2.4,
    "A sync begins with a plan": 3.2,
    "Amplitude refused a request": 3.2,
    "All 12,120 users": 3.0,
    "Amplitude does not know 8": 3.0,
    "Suppose they have used": 2.8,
    "Sizes are updated": 3.2,
    "212 people are missing": 3.2,
    "Repaired, and compared again": 2.8,
    "Changes in Segment": 3.6,
}
"""The captions to show, by their beginning, with their seconds."""


class Recorder:
    """Runs the tour in a console, and keeps pictures of its key moments."""

    def __init__(self, session: SimulatedSession) -> None:
        self.frames: list[tuple[str, float]] = []
        """SVGs, and the seconds that they are shown for."""
        self._seen: TourStep | None = None
        self._shown: set[str] = set()
        self._tour = GuidedTour(
            tour_steps(session.make_ghosts_known),
            session.wait,
            rest=self._rest,
            seen=self._saw,
            step_timeout=60.0,
        )
        self._app = ConsoleApp(session.environment, LaunchOptions(theme=DARK, tour=self._tour))

    async def run(self) -> None:
        """Run the whole tour. Raises RuntimeError if it fails or a moment is missing."""
        async with self._app.run_test(size=SIZE, notifications=True) as pilot:
            while not self._tour.is_running:
                await pilot.pause(0.05)
            while self._tour.is_running:
                await pilot.pause(SYNC_EVERY)
                if self._is_sending():
                    self._keep(SYNC_SECONDS)
            await self._app.services.connections.close_all()
        if self._tour.failed_step is not None:
            raise RuntimeError(f"The tour failed at: {self._tour.failed_step.caption}")
        missing = MOMENTS.keys() - self._shown
        if missing:
            raise RuntimeError(f"The tour has no such captions anymore: {sorted(missing)}")

    def _saw(self, step: TourStep) -> None:
        self._seen = step

    async def _rest(self, _: float) -> None:
        """Keep a picture of the screen at which the tour rests, once it is painted."""
        step, self._seen = self._seen, None
        await asyncio.sleep(SETTLE)
        if step is not None:
            begun = next((words for words in MOMENTS if step.caption.startswith(words)), None)
            if begun is not None:
                self._shown.add(begun)
                self._keep(MOMENTS[begun])

    def _is_sending(self) -> bool:
        job = self._app.services.jobs.sync
        return (
            job is not None and not job.is_over and type(self._app.screen).__name__ == "RunScreen"
        )

    def _keep(self, seconds: float) -> None:
        svg = self._app.export_screenshot(title="amp-console demo --tour")
        # A screen that has just been opened may not be laid out yet; its picture is smaller then.
        if not self.frames or size_of(svg) == size_of(self.frames[0][0]):
            # WebP merges equal pictures that follow each other.
            if self.frames and self.frames[-1][0] == svg:
                seconds += self.frames.pop()[1]
            self.frames.append((svg, seconds))


def write(frames: list[tuple[str, float]], file: Path) -> None:
    """Write the pictures losslessly. Raises RuntimeError if the file differs from them."""
    images = list(render([svg for svg, _ in frames], width=WIDTH))
    first, *others = images
    durations = [round(seconds * 1000) for _, seconds in frames]
    first.save(
        file,
        save_all=True,
        append_images=others,
        duration=durations,
        loop=0,
        lossless=True,
        method=4,
    )
    with Image.open(file) as written:
        for image, shown in zip(images, ImageSequence.Iterator(written), strict=True):
            if ImageChops.difference(image, shown.convert("RGB")).getbbox() is not None:
                raise RuntimeError("The file does not show what was painted.")


def main() -> None:
    """Run the tour, and write its picture."""
    with SimulatedSession(home=HOME) as session:
        recorder = Recorder(session)
        asyncio.run(recorder.run())
    write(recorder.frames, FILE)
    seconds = sum(seconds for _, seconds in recorder.frames)
    size = FILE.stat().st_size
    sys.stdout.write(f"{FILE.name}: {len(recorder.frames)} pictures, {seconds:.0f} s, {size:,} B\n")
    if size > MAX_BYTES:
        sys.exit("The picture is too large.")


if __name__ == "__main__":
    main()
