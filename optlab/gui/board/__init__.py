"""The board: tiles that move, float, stack and are saved as layouts."""
