"""What each port promises, as pytest classes: subclass one as `Test...`, with your implementation as a fixture."""
