"""Calls of the page: one JSON object in, one out. cnet_app.ui.studio serves them."""
