"""A phone on a cable: found, staged and driven over adb."""
