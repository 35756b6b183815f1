"""The systemd side: sd_notify and the units that ship with birdwatch."""
