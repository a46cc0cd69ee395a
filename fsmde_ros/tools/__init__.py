"""What people run beside the node: demo, doctor, viewer, masks, benchmarks."""
