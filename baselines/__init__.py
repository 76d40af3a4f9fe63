"""The methods that are compared: one file a method, found by being here. `interface.py` says what one is."""
