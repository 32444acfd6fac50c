"""The engine: runs experiments on ``theta [R, P]``. It knows no store, no window and no command line; it speaks events."""
