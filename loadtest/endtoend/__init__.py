"""The whole program, `yolostream detect`, against what its server answers by itself."""
