"""The app in the browser. The only part, with app.py, that knows Gradio."""
