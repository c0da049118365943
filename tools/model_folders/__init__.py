"""Makes and installs a detector's folders in the model repository."""
