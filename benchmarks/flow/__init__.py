"""What the whole flow costs, from a command on a topic to its event on another, beside other ways to do it."""
