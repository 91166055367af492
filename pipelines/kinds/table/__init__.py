"""Tables. What stages ask of this kind stands in `kind.py`: here, a submodule would hide a function of its name."""
