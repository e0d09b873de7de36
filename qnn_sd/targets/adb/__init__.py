"""A phone at the end of adb."""
