"""One training step by itself: built as FedThaw trains, and what it holds in memory."""
