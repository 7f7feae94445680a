"""What blurring came to, in words: to be read before anybody else is shown the pictures."""

from __future__ import annotations

from labsys.storage.films import BlurredFaces

ONLY_THE_RUNNER = "Only the runner's face is looked for: other people in the pictures are not blurred."


def tell_blurred(found: BlurredFaces) -> str:
    """One or two sentences; what is to be looked at stands first."""
    if not found.not_found:
        every = f"In each of {found.pictures:,} pictures the face was found, or lies outside the picture."
        return f"Faces are blurred. {every} {ONLY_THE_RUNNER}"
    where = _where(found)
    return (
        f"Look before you share: in {found.not_found:,} of {found.pictures:,} pictures no face was found; {where}. In "
        f"all others faces are blurred. {ONLY_THE_RUNNER}"
    )


def _where(found: BlurredFaces) -> str:
    around = found.not_found - found.hidden
    parts = [
        f"{count:,} are blurred {how}"
        for count, how in ((around, "widely around neck and shoulders"), (found.hidden, "as a whole"))
        if count
    ]
    return " and ".join(parts)
