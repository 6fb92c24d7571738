"""A tiny model with random weights, on which a deployment is rehearsed: real vLLM, no download, no GPU.

It is a Qwen3-MoE of 2 layers and 8 experts whose tokenizer knows the special tokens of DeepSeek-V4, so that vLLM
serves it with the model's own tokenizer mode, reasoning parser and tool-call parser. The DeepSeek-V4 architecture
itself cannot be used: its FP8 kernels want AMX on a CPU (vllm/model_executor/kernels, CPUFp8W8A8BlockScaledMMKernel).
The weights are random but for one lean: printable ASCII, the end of thinking and the end of the answer are likely,
all other tokens are not, so that what it says is text, makes no sense and ends.

Only the standard library is used: nothing need be installed to write it, and the same bytes come out every time.
Run as a program too: `python tiny_model.py DIR`.
"""

from __future__ import annotations

import array
import json
import random
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

SEED = 20_260_424
VOCAB = 512
HIDDEN = 64
LAYERS = 2
HEADS = 2
HEAD_DIM = 32
EXPERTS = 8
EXPERT_HIDDEN = 64
MAX_POSITIONS = 8192

# vllm/tokenizers/deepseek_v4_encoding.py (vLLM 0.32.0), lines 21 to 42
BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
THINK_START, THINK_END = "<think>", "</think>"
DSML = "｜DSML｜"
_ROLES = ("User", "Assistant", "latest_reminder", "System", "deepseek_image")
_TASKS = ("action", "query", "authority", "domain", "title", "read_url")
SPECIAL_TOKENS = (BOS, EOS, PAD, THINK_START, THINK_END, DSML, *(f"<｜{name}｜>" for name in _ROLES + _TASKS))
# Special tokens vanish when text is made of token ids; the parsers must see these.
_SHOWN = {THINK_START, THINK_END, DSML}
_FIRST_SPECIAL = 256

Tensor = tuple[str, tuple[int, ...], bytes]


def write_tiny_model(folder: Path) -> tuple[Path, ...]:
    """Write the model into `folder` and return its files; a folder that holds this very model is left alone.

    Raises OSError when the folder cannot be written, FileExistsError when it holds something else.
    """
    texts = {
        "config.json": _config(),
        "generation_config.json": {"bos_token_id": _id(BOS), "eos_token_id": _id(EOS), "temperature": 1.0},
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": _tokenizer_config(),
    }
    files: dict[str, bytes] = {name: _text(content) for name, content in texts.items()}
    files["model.safetensors"] = _safetensors(list(_tensors()))
    if folder.is_dir() and any(folder.iterdir()):
        if all((folder / n).is_file() and (folder / n).read_bytes() == body for n, body in files.items()):
            return tuple(folder / name for name in files)
        if not (folder / "config.json").is_file():
            raise FileExistsError(f"{folder} is not empty and holds no model; nothing was changed")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, body in files.items():
        (part / name).write_bytes(body)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return tuple(folder / name for name in files)


def _id(token: str) -> int:
    return _FIRST_SPECIAL + SPECIAL_TOKENS.index(token)


def _text(content: object) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _config() -> dict[str, object]:
    return {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "dtype": "bfloat16",
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITIONS,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "num_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": EXPERT_HIDDEN,
        "norm_topk_prob": True,
        "bos_token_id": _id(BOS),
        "eos_token_id": _id(EOS),
        "pad_token_id": _id(PAD),
    }


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letter = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [letter[byte] for byte in range(256)]


def _added_tokens() -> list[dict[str, object]]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [{"id": _id(t), "content": t, **plain, "special": t not in _SHOWN} for t in SPECIAL_TOKENS]


def _tokenizer() -> dict[str, object]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(),
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {letter: byte for byte, letter in enumerate(_byte_letters())},
            "merges": [],
        },
    }


def _tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "model_max_length": MAX_POSITIONS,
        "clean_up_tokenization_spaces": False,
    }


def _tensors() -> Iterator[Tensor]:
    draw = random.Random(SEED)  # noqa: S311  (weights, not a secret)

    def normal(name: str, shape: tuple[int, int], std: float) -> Tensor:
        return name, shape, _bfloat16([draw.gauss(0.0, std) for _ in range(shape[0] * shape[1])])

    def ones(name: str, size: int) -> Tensor:
        return name, (size,), _bfloat16([1.0] * size)

    # Coordinate 0 is the same for every token and stays so (the layers add little); the last matrix reads it:
    # plus for the tokens that may be said, minus for the others.
    likely = {*range(0x20, 0x7F), _id(EOS), _id(THINK_END)}
    embed = [[4.0, *(draw.gauss(0.0, 0.5) for _ in range(HIDDEN - 1))] for _ in range(VOCAB)]
    speak = [
        [2.0 if token in likely else -2.0, *(draw.gauss(0.0, 0.25) for _ in range(HIDDEN - 1))]
        for token in range(VOCAB)
    ]
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN), _bfloat16([v for row in embed for v in row])
    for n in range(LAYERS):
        layer = f"model.layers.{n}"
        yield ones(f"{layer}.input_layernorm.weight", HIDDEN)
        for part in ("q_proj", "k_proj", "v_proj"):
            yield normal(f"{layer}.self_attn.{part}.weight", (HEADS * HEAD_DIM, HIDDEN), 0.1)
        yield normal(f"{layer}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM), 0.05)
        yield ones(f"{layer}.self_attn.q_norm.weight", HEAD_DIM)
        yield ones(f"{layer}.self_attn.k_norm.weight", HEAD_DIM)
        yield ones(f"{layer}.post_attention_layernorm.weight", HIDDEN)
        yield normal(f"{layer}.mlp.gate.weight", (EXPERTS, HIDDEN), 0.1)
        for expert in range(EXPERTS):
            yield normal(f"{layer}.mlp.experts.{expert}.gate_proj.weight", (EXPERT_HIDDEN, HIDDEN), 0.1)
            yield normal(f"{layer}.mlp.experts.{expert}.up_proj.weight", (EXPERT_HIDDEN, HIDDEN), 0.1)
            yield normal(f"{layer}.mlp.experts.{expert}.down_proj.weight", (HIDDEN, EXPERT_HIDDEN), 0.05)
    yield ones("model.norm.weight", HIDDEN)
    yield "lm_head.weight", (VOCAB, HIDDEN), _bfloat16([v for row in speak for v in row])


def _bfloat16(values: list[float]) -> bytes:
    """The upper halves of the float32 numbers, little-endian."""
    raw = struct.pack(f"<{len(values)}f", *values)
    halves = array.array("B", bytes(2 * len(values)))
    halves[0::2] = array.array("B", raw[2::4])
    halves[1::2] = array.array("B", raw[3::4])
    return halves.tobytes()


def _safetensors(tensors: list[Tensor]) -> bytes:
    """One safetensors file (https://github.com/huggingface/safetensors#format)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, shape, body in tensors:
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, start + len(body)]}
        start += len(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(body for _, _, body in tensors)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tiny_model.py DIR")
    for written in write_tiny_model(Path(sys.argv[1])):
        sys.stdout.write(f"{written}  {written.stat().st_size} bytes\n")
