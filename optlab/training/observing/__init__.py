"""What is observed beside a run: instruments, the path of the weights, gradients by example."""
