"""How each tensor is stored as integers: chosen from ranges or read from a file, and AIMET's format."""
