"""Figures as people say them, and text of strangers as a terminal can show it."""

from __future__ import annotations


def gigabytes(count: float) -> str:
    """Bytes in GB, with one decimal where it says something; few in MB."""
    if count < 0.95e8:
        return f"{count / 1e6:.0f} MB" if count >= 1e6 else "<1 MB"
    return f"{count / 1e9:.1f} GB" if count < 9.95e9 else f"{count / 1e9:.0f} GB"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``40 s``, ``12 min``, ``1 h 50 min``; never 0."""
    if seconds < 0.5:
        return "<1 s"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 1200 else f"{round(minutes / 60)} h"


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:02:03."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def shown(text: object, most: int = 80) -> str:
    """Text of a file on a terminal: files come from strangers, so nothing but what can be printed, and little."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return plain if len(plain) <= most else f"{plain[:most]}…"
