"""The locked process: zygote, worker, its limits, and the frames it speaks."""
