"""The parts of the bench: each measures one subject and yields rows of the table."""
