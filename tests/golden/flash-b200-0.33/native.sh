#!/bin/sh
HF_HUB_OFFLINE=1 \
  VLLM_ENGINE_READY_TIMEOUT_S=3600 \
  vllm serve deepseek-ai/DeepSeek-V4-Flash \
  --host 127.0.0.1 \
  --port 8000 \
  --attention_config.indexer_kv_dtype=mxfp4 \
  --kv-cache-dtype fp8 \
  --block-size 256 \
  --tensor-parallel-size 4 \
  --enable-expert-parallel \
  --max-model-len auto \
  --max-num-batched-tokens 16384 \
  --compilation-config '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}' \
  --gpu-memory-utilization 0.90 \
  --tool-call-parser deepseek_v4 \
  --reasoning-parser deepseek_v4 \
  --tokenizer-mode deepseek_v4 \
  --enable-auto-tool-choice \
  --max-num-seqs 1024 \
  --default-chat-template-kwargs '{"thinking":false}' \
  --shutdown-timeout 60 \
  --fail-on-environ-validation
