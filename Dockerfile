# docker build -t controlnet-studio . && docker run -p 7860:7860 -v studio:/home/user/app/outputs controlnet-studio
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CNET_HOST=0.0.0.0 \
    CNET_PORT=7860

# The full OpenCV needs desktop libraries; the headless build is installed over its files.
COPY --chown=user requirements.txt .
RUN pip install --user --no-cache-dir --quiet -r requirements.txt \
    && pip install --user --no-cache-dir --quiet --force-reinstall --no-deps $(grep opencv-python-headless== requirements.txt)

COPY --chown=user . .
RUN mkdir -p outputs
EXPOSE 7860
CMD ["python", "app.py"]
