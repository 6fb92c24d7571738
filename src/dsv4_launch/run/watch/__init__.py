"""Looking after a service that nothing else looks after."""
