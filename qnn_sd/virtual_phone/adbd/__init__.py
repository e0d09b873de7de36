"""The phone's adb daemon: connections from an adb server, and the services that it opens on them."""
