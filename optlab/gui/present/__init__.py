"""Present: scenes for an audience, full screen and large, driven by the keyboard."""
