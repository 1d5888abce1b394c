FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production HOST=0.0.0.0 PORT=8000 STATIC_ROOT=/app/static-collected
RUN useradd --system --home-dir /app zenzefi
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
RUN pybabel compile --directory locale --domain django
# As the demo, because the production settings need secrets; the static files are the same.
RUN ENVIRONMENT=demo DATA_DIR=/tmp/build python manage.py collectstatic --no-input && rm -r /tmp/build
USER zenzefi
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"
CMD ["python", "manage.py", "serve", "--without-jobs"]
