"""The phone's shell: the part of sh that adb's users and the staging need. It runs no program of the host."""
