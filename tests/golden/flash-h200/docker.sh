#!/bin/sh
docker run \
  --detach \
  --name flash-h200 \
  --runtime=nvidia \
  --gpus all \
  --ipc=host \
  --shm-size=128g \
  -p 127.0.0.1:8000:8000 \
  -v "${HF_HOME:-$HOME/.cache/huggingface}:/root/.cache/huggingface" \
  -v "${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/caches/vllm-openai-v0.25.1-h200:/root/.cache/dsv4" \
  --env HF_HUB_OFFLINE=1 \
  --env VLLM_ENGINE_READY_TIMEOUT_S=3600 \
  --env VLLM_CACHE_ROOT=/root/.cache/dsv4/vllm \
  --env FLASHINFER_WORKSPACE_BASE=/root/.cache/dsv4/flashinfer \
  --env TRITON_CACHE_DIR=/root/.cache/dsv4/triton \
  --env TILELANG_CACHE_DIR=/root/.cache/dsv4/tilelang \
  --env TORCHINDUCTOR_CACHE_DIR=/root/.cache/dsv4/inductor \
  --env HUMMING_CACHE_DIR=/root/.cache/dsv4/humming \
  --env CUDA_CACHE_PATH=/root/.cache/dsv4/cuda \
  --label dsv4.name=flash-h200 \
  --label dsv4.digest=7880b0e3403c6027 \
  --label "dsv4.user=$(id -un)" \
  --label 'dsv4.config={"container":{"ipc":"host","runtime":"nvidia","shm_size":"128g"},"engine":{"block_size":256,"compilation_config":{"cudagraph_mode":"FULL_AND_PIECEWISE","custom_ops":["all"]},"enable_auto_tool_choice":true,"gpu_memory_utilization":0.9,"indexer_cache_dtype":"fp8","kv_cache_dtype":"fp8","max_model_len":"auto","max_num_batched_tokens":8192,"max_num_seqs":512,"reasoning_parser":"deepseek_v4","tokenizer_mode":"deepseek_v4","tool_call_parser":"deepseek_v4"},"gpu":"h200","hub":{"offline":true},"model":"flash","name":"flash-h200","parallel":{"expert":true,"tensor":4},"server":{"host":"127.0.0.1","port":8000},"target":{"type":"docker"},"vllm":"0.25.1"}' \
  vllm/vllm-openai:v0.25.1 \
  deepseek-ai/DeepSeek-V4-Flash \
  --kv-cache-dtype fp8 \
  --block-size 256 \
  --tensor-parallel-size 4 \
  --enable-expert-parallel \
  --max-model-len auto \
  --max-num-batched-tokens 8192 \
  --compilation-config '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}' \
  --gpu-memory-utilization 0.90 \
  --tool-call-parser deepseek_v4 \
  --reasoning-parser deepseek_v4 \
  --tokenizer-mode deepseek_v4 \
  --enable-auto-tool-choice \
  --max-num-seqs 512
