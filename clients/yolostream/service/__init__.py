"""The live service, `yolostream run`, which watches cameras continuously."""
