"""Evaluates the accuracy of a served model by COCO's rules."""
