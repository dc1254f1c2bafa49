"""What tests and demos are built with; nothing in the product imports it."""
