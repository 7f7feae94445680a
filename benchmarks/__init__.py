"""Speed and accuracy side by side with the peers. `python -m benchmarks` writes benchmarks/results.json."""
