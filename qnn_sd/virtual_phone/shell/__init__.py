"""The phone's shell: the part of sh that adb's users and the staging need, executing nothing of the host."""
