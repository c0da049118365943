"""The live service, `yolostream run`: cameras that are watched day and night."""
