"""What programs ask the running app for, as plain JSON values. The endpoints themselves are cnet_app.ui.endpoints."""
