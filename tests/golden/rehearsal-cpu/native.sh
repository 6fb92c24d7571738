#!/bin/sh
VLLM_ENGINE_READY_TIMEOUT_S=600 \
  VLLM_CPU_KVCACHE_SPACE=1 \
  HF_HUB_OFFLINE=1 \
  PATH="${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}/venv/bin:$PATH" \
  "${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}/venv/bin/vllm" serve "${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}/model" \
  --host 127.0.0.1 \
  --port 8000 \
  --kv-cache-dtype auto \
  --block-size 256 \
  --enable-expert-parallel \
  --max-model-len auto \
  --max-num-batched-tokens 65536 \
  --compilation-config '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"], "mode":0}' \
  --gpu-memory-utilization 0.50 \
  --tool-call-parser deepseek_v4 \
  --reasoning-parser deepseek_v4 \
  --tokenizer-mode deepseek_v4 \
  --enable-auto-tool-choice \
  --max-num-seqs 1024 \
  --served-model-name deepseek-ai/DeepSeek-V4-Flash \
  --shutdown-timeout 60 \
  --fail-on-environ-validation
