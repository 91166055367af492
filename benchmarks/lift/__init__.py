"""Parts of `table_lift.py`: the cells, what is measured in one, what follows from all, and the picture of it."""
