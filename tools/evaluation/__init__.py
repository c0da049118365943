"""Accuracy of what is served, by COCO's rules."""
