#!/bin/sh
docker run \
  --detach \
  --name rehearsal-cpu \
  --ipc=host \
  -p 127.0.0.1:8000:8000 \
  -v "${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}/model:/model:ro" \
  -v "${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/caches/dsv4-rehearsal-cpu-0.32.0-cpu:/root/.cache/dsv4" \
  --env VLLM_ENGINE_READY_TIMEOUT_S=600 \
  --env VLLM_CPU_KVCACHE_SPACE=1 \
  --env HF_HUB_OFFLINE=1 \
  --env VLLM_CACHE_ROOT=/root/.cache/dsv4/vllm \
  --env FLASHINFER_WORKSPACE_BASE=/root/.cache/dsv4/flashinfer \
  --env TRITON_CACHE_DIR=/root/.cache/dsv4/triton \
  --env TILELANG_CACHE_DIR=/root/.cache/dsv4/tilelang \
  --env TORCHINDUCTOR_CACHE_DIR=/root/.cache/dsv4/inductor \
  --env HUMMING_CACHE_DIR=/root/.cache/dsv4/humming \
  --env CUDA_CACHE_PATH=/root/.cache/dsv4/cuda \
  --label dsv4.name=rehearsal-cpu \
  --label dsv4.digest=16c5124fe6ddb8ab \
  --label "dsv4.user=$(id -un)" \
  --label 'dsv4.config={"container":{"ipc":"host","runtime":"default"},"engine":{"block_size":256,"compilation_config":{"cudagraph_mode":"FULL_AND_PIECEWISE","custom_ops":["all"]},"enable_auto_tool_choice":true,"gpu_memory_utilization":0.5,"kv_cache_dtype":"fp8","max_model_len":"auto","max_num_batched_tokens":65536,"max_num_seqs":1024,"reasoning_parser":"deepseek_v4","tokenizer_mode":"deepseek_v4","tool_call_parser":"deepseek_v4","trust_remote_code":true},"gpu":"cpu","model":"flash","name":"rehearsal-cpu","parallel":{"expert":true},"server":{"host":"127.0.0.1","port":8000},"start":{"timeout_s":600},"target":{"type":"docker"},"vllm":"0.32.0"}' \
  dsv4-rehearsal-cpu:0.32.0 \
  /model \
  --kv-cache-dtype fp8 \
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
  --trust-remote-code \
  --served-model-name deepseek-ai/DeepSeek-V4-Flash
