"""Endpoints for programs as functions of plain JSON values; cnet_app.ui.endpoints serves them."""
