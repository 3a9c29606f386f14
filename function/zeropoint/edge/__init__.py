"""The function on a device: what makes systemd start it, and what is carried there."""
