"""Sphinx configuration: the API from its docstrings, the gallery from ``examples/plot_*.py``, run at build time."""

from importlib.metadata import version as installed

project = "ssmts"
author = "The ssmts developers"
copyright = "2026, the ssmts developers"
release = version = installed("ssmts")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
autosummary_generate = True
templates_path = ["_templates"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_param = False  # types are prose, not cross-references
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Attributes", "params_style")
]  # a list: attributes that are properties have entries of their own
default_role = "literal"
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(demo|watch_mqtt)\.py",
    "capture_repr": (),  # what is printed and drawn, not the Axes that a call gives back
    "download_all_examples": False,
    "show_signature": False,
}
html_theme = "pydata_sphinx_theme"
html_title = "ssmts"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
