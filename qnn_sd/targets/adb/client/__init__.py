"""adb's client: its server, the phones that it lists, commands on a phone."""
