"""The smallest and largest value of each activation: measured, known beforehand, or a stand-in."""
