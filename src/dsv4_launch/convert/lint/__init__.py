"""What is wrong with a launch, in the words of who wrote it."""
