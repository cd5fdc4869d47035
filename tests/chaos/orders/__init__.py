"""The order service's part of chaos: what is asked of it, what should become of that, and what did."""
