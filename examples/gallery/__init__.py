"""Short scripts that teach, each a page of the documentation and a notebook.

Each stands alone, begins with a cell of text (a title, and for whom it is), prints, and leaves one
figure.
"""
