"""A session that stays: answers to SQL in less than a second, from a process that waits for the next question."""
