"""Checks of what cameras see: is there a picture at all, is it bright enough, and does the light flicker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.preflight.glance import Glance
from labsys.core.arrays import FloatArray

# Bounds of labsys's own: landmarks are found in pictures of usual brightness, and nobody published where that ends.
_LEAST_CONTRAST = 6.0  # with a cap on the lens there is noise, and little of it
_DARK, _BRIGHT = 30.0, 220.0
_MOST_CLIPPED = 0.1
_MOST_FLICKER = 0.03
_MAINS_HZ = (50.0, 60.0)  # lamps flicker with twice the frequency of the mains
_FEWEST_FRAMES = 12  # of fewer, four numbers can be fitted to anything
_SLOWEST_HZ = 3.0  # a beat that is slower has no whole turn in what is looked at


class LightCheck:
    """Every camera sees something, neither too dark nor too bright, in a light that stands still."""

    name = "light"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per camera."""
        for camera in rehearsal.opened:
            glance = rehearsal.glances.get(camera)
            if glance is None:
                yield self._warn(f"no picture of {camera} could be looked at", "Look at it on the wall")
                continue
            faults = list(self._faults(camera, glance))
            yield from faults or [CheckResult(self.name, Outcome.PASS, f"{camera} sees enough, and no flicker")]

    def _faults(self, camera: str, glance: Glance) -> Iterator[CheckResult]:
        if glance.contrast < _LEAST_CONTRAST:
            yield CheckResult(
                self.name,
                Outcome.FAIL,
                f"{camera} sees nothing: all of its picture is alike",
                "Take the cap off its lens, and look where it points",
            )
            return
        if glance.brightness < _DARK:
            yield self._warn(
                f"{camera} is dark: {glance.brightness:.0f} of 255 in the mean, {_DARK:.0f} are wanted",
                "Switch the lights on, open its aperture, or raise its gain",
            )
        if glance.brightness > _BRIGHT or glance.clipped > _MOST_CLIPPED:
            white, mean = f"{100 * glance.clipped:.0f} % of its view is white", f"{glance.brightness:.0f} of 255"
            yield self._warn(
                f"{camera} is too bright: {white}, {mean} in the mean",
                "Shade the window, lower its gain, or shorten its exposure",
            )
        mains_hz, share = find_flicker(glance)
        if share > _MOST_FLICKER:
            yield self._warn(
                f"the light of {camera} flickers by {100 * share:.0f} % with mains of {mains_hz:.0f} Hz",
                f"Use lamps that do not flicker, or expose for 1/{2 * mains_hz:.0f} s where the blur allows it",
            )

    def _warn(self, what: str, fix: str) -> CheckResult:
        return CheckResult(self.name, Outcome.WARN, what, fix)


def find_flicker(glance: Glance) -> tuple[float, float]:
    """Mains frequency, Hz, whose lamps explain most, and by how much brightness swings with it: amplitude over mean.

    A lamp that flickers with f shows in pictures at the rate r as a beat of |f - k r|; a beat of nearly none cannot be
    told from a light that stands still. Of eight stripes the one that swings most counts.
    """
    if glance.times_s.size < _FEWEST_FRAMES:
        return _MAINS_HZ[0], 0.0
    rate_hz = _measure_rate(glance.times_s)
    found = [(mains, _swing(glance, _beat_hz(2.0 * mains, rate_hz))) for mains in _MAINS_HZ]
    return max(found, key=lambda f: f[1])


def _measure_rate(times_s: FloatArray) -> float:
    """Pictures per second, where some may be missing. The rate that was ordered may be a whole beat off in the end."""
    steps = np.diff(times_s)
    numbers = np.concatenate([[0.0], np.cumsum(np.rint(steps / np.median(steps)))])
    return float(1.0 / np.polyfit(numbers, times_s, 1)[0])


def _beat_hz(light_hz: float, rate_hz: float) -> float:
    return abs(light_hz - rate_hz * round(light_hz / rate_hz))


def _swing(glance: Glance, beat_hz: float) -> float:
    if beat_hz < _SLOWEST_HZ:
        return 0.0
    phase = 2.0 * np.pi * beat_hz * glance.times_s
    # With a trend beside it: light that grows with the sun is no flicker.
    design = np.stack([np.ones_like(phase), glance.times_s, np.cos(phase), np.sin(phase)], axis=1)
    fitted, *_ = np.linalg.lstsq(design, glance.bands, rcond=None)
    # What it makes of these pictures, not its two factors: those of a beat of half the rate are not told apart.
    swing: FloatArray = np.sqrt(2.0) * (design[:, 2:] @ fitted[2:]).std(axis=0)
    return float((swing / np.maximum(glance.bands.mean(axis=0), 1.0)).max())
