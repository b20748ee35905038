"""Models served on our GPUs: replicas, their placement, the router to them, their number as queues grow."""
