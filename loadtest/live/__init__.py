"""How `yolostream run` holds: ages, cameras, viewers, overload, faults, and the page."""
