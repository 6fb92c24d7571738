# dsv4 itself, for pipelines that validate, plan and render. vLLM is not in it; nothing is served from it.
#
#   docker build -t dsv4 .
#   docker run --rm -v "$PWD:/work:ro" dsv4 validate configs/ --output github
#
# Read, not built, where no registry can be reached. Pin the base by the digest that your registry shows.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY configs configs
COPY constraints constraints
COPY src src
COPY scripts/constraints.txt scripts/constraints.txt
RUN python -m venv /opt/dsv4 \
    && /opt/dsv4/bin/pip install --no-cache-dir --disable-pip-version-check -c scripts/constraints.txt .

FROM python:3.12-slim
COPY --from=build /opt/dsv4 /opt/dsv4
RUN useradd --create-home --uid 10001 dsv4
USER 10001:10001
WORKDIR /work
ENV PATH=/opt/dsv4/bin:$PATH
ENTRYPOINT ["dsv4"]
CMD ["--help"]
