"""Integration with systemd: sd_notify and birdwatch's units."""
