"""Constructed launch texts with the faults that published pages have."""

# Published pages have a blank at the end of every line.
PAGE = r"""Deploy the model. Don't forget your token.

CONSOLE
docker run -it --rm
 --runtime=nvidia
 --gpus all
 --ipc=host
 --shm-size=64g
 -p 8000:8000
 -v ~/.cache/huggingface:/root/.cache/huggingface
 -e HF_TOKEN='hf_notarealtokenbutlooksit'
 vllm/vllm-openai:v0.20.0
 deepseek-ai/DeepSeek-V4-Flash
 --attention_config.use_fp4_indexer_cache=True
 --kv-cache-dtype fp8
 --block-size 256
 --tensor-parallel-size 4
 --enable-expert-parallel
 --compilation-config '{\"cudagraph_mode\":\"FULL_AND_PIECEWISE\", \"custom_ops\":[\"all\"]}'
 --tool-call-parser deepseek_v4
 --enable-auto-tool-choice
 --trust-remote-code

Benchmarks follow.
""".replace("\n ", " \n ")

SOUND = """docker run --detach --gpus all --ipc=host \\
  -p 127.0.0.1:8000:8000 \\
  -v ~/.cache/huggingface:/root/.cache/huggingface \\
  -v /var/cache/vllm:/root/.cache/vllm \\
  -e VLLM_ENGINE_READY_TIMEOUT_S=3600 \\
  vllm/vllm-openai:v0.25.1 deepseek-ai/DeepSeek-V4-Flash \\
  --kv-cache-dtype fp8 --block-size 256 --tensor-parallel-size 4 --enable-expert-parallel \\
  --max-num-batched-tokens 8192
"""

COMPOSE = """services:
  llm:
    image: vllm/vllm-openai:v0.20.2
    command: >-
      --model deepseek-ai/DeepSeek-V4-Flash --kv-cache-dtype fp8 --tensor-parallel-size 4
    environment:
      - HF_TOKEN=${HF_TOKEN}
      - NCCL_DEBUG=INFO
    ports: ["8000:8000"]
    volumes:
      - /data/hf:/root/.cache/huggingface
    ipc: host
    deploy:
      resources:
        reservations:
          devices:
            - {driver: nvidia, device_ids: ["0", "1", "2", "3"], capabilities: [gpu]}
"""

KUBERNETES = """apiVersion: apps/v1
kind: Deployment
metadata: {name: v4-flash}
spec:
  template:
    spec:
      containers:
        - name: server
          image: vllm/vllm-openai:v0.28.0
          args:
            - deepseek-ai/DeepSeek-V4-Flash
            - --kv-cache-dtype=fp8
            - --compilation-config
            - '{"mode": 0}'
            - --block-size
            - "0"
          env:
            - name: HF_TOKEN
              valueFrom: {secretKeyRef: {name: hub, key: token}}
          resources: {limits: {nvidia.com/gpu: "4"}}
          volumeMounts:
            - {name: shm, mountPath: /dev/shm}
      volumes:
        - {name: shm, emptyDir: {medium: Memory, sizeLimit: 32Gi}}
"""

DOCKERFILE = """FROM vllm/vllm-openai:v0.21.0
ENV NCCL_DEBUG=INFO
CMD ["deepseek-ai/DeepSeek-V4-Flash", "--kv-cache-dtype", "fp8", \\
     "--tensor-parallel-size", "4"]
"""
