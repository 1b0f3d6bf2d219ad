"""The measured claims, side by side with peers: `python -m benchmarks`; no part of the tests."""
