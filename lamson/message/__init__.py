"""Messages: reading what came, writing what goes. Pure."""
