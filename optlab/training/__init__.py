"""The engine: trains R runs on one ``theta [R, P]`` and reports what happens as events."""
