"""The main job: a complete AI worker on Azure, and the template users start from."""
