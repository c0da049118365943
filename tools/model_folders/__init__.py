"""The folders of a detector in the model repository: what is in them, and how it gets there."""
