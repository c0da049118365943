"""How fast it is: scripts that measure, and the results they wrote."""
