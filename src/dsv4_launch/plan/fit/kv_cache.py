"""The KV cache as vLLM counts it: groups, bytes of a block, blocks of a request, what the startup log says.

The integers are vLLM's own for the regime of the release. A block belongs to one group of layers at a time; all groups
draw their blocks from one pool, and each pipeline stage has the pages of its own layers.
"""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.memory import Cache, Regime, caches, compress_ratios, draft_layers, figures, regime
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.fit.types import Capacity, Question

_MXFP4, _INDEXER = "fp4", "indexer"


@dataclass(frozen=True, slots=True)
class Group:
    """Layers with one block table: tokens of a block, window (0: none), and on each stage how often each page."""

    tokens_per_block: int
    window: int
    stages: tuple[tuple[tuple[int, int], ...], ...]

    def bytes_at(self, stage: int) -> int:
        """Bytes of one block of this group on a stage."""
        return sum(page * count for page, count in self.stages[stage])


def ceil_div(a: int, b: int) -> int:
    """``a / b``, rounded up."""
    return -(-a // b)


def stage_of_layers(layers: int, stages: int) -> tuple[int, ...]:
    """The pipeline stage of every layer; the layers that are over go to the stages before the last, from behind.

    As get_pp_indices does: https://github.com/vllm-project/vllm/blob/v0.32.0/vllm/distributed/utils.py
    """
    counts = [layers // stages] * stages
    over = layers % stages
    for n in range(2, over + 2):
        counts[-n] += 1
    return tuple(stage for stage, count in enumerate(counts) for _ in range(count))


def page_bytes(cache: Cache, rule: Regime, fp4: bool, plain_rows: bool) -> int:
    """Bytes of one layer's page."""
    each, alignment = cache.bytes_per_state, figures("alignment")["bytes"]
    if cache.name == _INDEXER and fp4:
        each = rule.fp4_bytes_per_state
    if plain_rows:
        alignment = figures("plain_rows")["alignment"]
        # Rows of attention keys change; the indexer's entries and compressor states do not.
        if cache.name in {"c4", "c128", "sliding"}:
            each = figures("plain_rows")["bytes_per_state"]
    return ceil_div(cache.states * each, alignment) * int(alignment)


@lru_cache(maxsize=512)
def groups(vllm: str, fp4: bool, draft: str, stages: int, plain_rows: bool) -> tuple[Group, ...]:
    """The groups of all layers: the one that keeps every token first."""
    rule, ratios = regime(vllm), compress_ratios()
    stage_of = stage_of_layers(len(ratios), stages)
    placed = {
        "c4": [stage_of[n] for n, ratio in enumerate(ratios) if ratio == 4],
        "c128": [stage_of[n] for n, ratio in enumerate(ratios) if ratio == 128],
        "all": [*stage_of, *[stages - 1] * draft_layers(draft)],
    }
    full_pages = {page_bytes(c, rule, fp4, plain_rows) for c in caches() if not c.window}
    tables: dict[tuple[int, int, int], list[dict[int, int]]] = {}
    for cache in caches():
        page = page_bytes(cache, rule, fp4, plain_rows)
        if cache.window and rule.padded:
            page = min(size for size in full_pages if size >= page)
        for part in range(cache.groups):
            key = (cache.tokens_per_block, cache.window, part)
            pages = tables.setdefault(key, [{} for _ in range(stages)])
            for stage in placed[cache.layers][part :: cache.groups]:
                pages[stage][page] = pages[stage].get(page, 0) + 1
    ordered = sorted(tables.items(), key=lambda item: item[0][1] != 0)
    return tuple(
        Group(tokens, window, tuple(tuple(p.items()) for p in pages)) for (tokens, window, _), pages in ordered
    )


def _groups(asked: Question) -> tuple[Group, ...]:
    return groups(asked.vllm, asked.fp4_indexer, asked.draft, asked.pipeline, asked.plain_rows)


@lru_cache(maxsize=2048)
def _block(of: tuple[Group, ...], stage: int, how: str) -> int:
    if how == "widest":
        return max(group.bytes_at(stage) for group in of)
    longest: dict[int, int] = {}
    for group in of:
        for page, count in group.stages[stage]:
            longest[page] = max(longest.get(page, 0), count)
    if how == "slots":
        return sum(page * count for page, count in longest.items())
    return sum(page for page, _ in of[0].stages[stage]) * max(longest.values())


def bytes_per_block(asked: Question, stage: int = 0) -> int:
    """Bytes of one block of the pool on a pipeline stage."""
    return _block(_groups(asked), stage, regime(asked.vllm).block)


def batches_in_flight(asked: Question) -> int:
    """Batches whose tokens are reserved: https://github.com/vllm-project/vllm/blob/v0.32.0/vllm/config/vllm.py#L574"""
    if regime(asked.vllm).in_flight == "batch":
        return 1
    if not asked.asynchronous:
        return asked.pipeline
    if asked.v2_runner:
        return asked.pipeline + 1
    return 2 if asked.pipeline == 1 else asked.pipeline


def _request(of: tuple[Group, ...], length: int, in_flight: int) -> list[int]:
    return [
        ceil_div(min(group.window - 1 + in_flight, length), group.tokens_per_block) + 1
        if group.window
        else ceil_div(length, group.tokens_per_block)
        for group in of
    ]


def blocks_of_request(asked: Question, length: int) -> list[int]:
    """Blocks that vLLM charges one request of a length, group by group."""
    return _request(_groups(asked), length, asked.max_num_batched_tokens * batches_in_flight(asked))


def bytes_of_request(asked: Question, length: int, stage: int = 0) -> int:
    """What vLLM asks for when it looks whether one request fits, the blocks that it never uses included."""
    rule, of = regime(asked.vllm), _groups(asked)
    return _block(of, stage, rule.check) * (sum(blocks_of_request(asked, length)) + rule.null_block)


def longest_request(asked: Question, available: tuple[int, ...], limit: int) -> int:
    """The longest request up to ``limit`` that fits the bytes of every stage, 0 when not one token does."""
    rule, of = regime(asked.vllm), _groups(asked)
    in_flight = asked.max_num_batched_tokens * batches_in_flight(asked)
    room = min(
        _available(asked, stage, bytes_) // _block(of, stage, rule.check) for stage, bytes_ in enumerate(available)
    )
    room -= rule.null_block
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if sum(_request(of, middle, in_flight)) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _available(asked: Question, stage: int, bytes_: int) -> int:
    return asked.blocks_override * bytes_per_block(asked, stage) if asked.blocks_override else bytes_


def capacity(asked: Question, available: tuple[int, ...]) -> Capacity:
    """What an engine holds, given the bytes for the KV cache on each of its pipeline stages."""
    rule, of = regime(asked.vllm), _groups(asked)
    shown = min(available) / (1 << 30)
    longest = longest_request(asked, available, asked.model_limit)
    length = asked.max_model_len or longest
    num_blocks = asked.blocks_override or min(
        max(bytes_, 0) // bytes_per_block(asked, stage) for stage, bytes_ in enumerate(available)
    )
    if not length:
        return Capacity(shown, num_blocks, 0, 0.0, 0, 0, 0, False)
    each = blocks_of_request(asked, length)
    if rule.concurrency == "bytes":
        # The log of the first stage.
        wanted = sum(count * group.bytes_at(0) for count, group in zip(each, of, strict=True))
        concurrency = num_blocks / ceil_div(wanted, of[0].bytes_at(0))
    else:
        concurrency = num_blocks / sum(each)
    if rule.tokens == "groups":
        tokens = num_blocks // len(of) * min(group.tokens_per_block for group in of)
    else:
        tokens = int(concurrency * length)
    fits = length <= longest
    return Capacity(
        shown,
        num_blocks,
        tokens,
        concurrency,
        resident(asked, num_blocks, length) if fits else 0,
        length,
        longest,
        fits,
    )


def resident(asked: Question, num_blocks: int, length: int) -> int:
    """Requests of a length that one engine holds at once when they decode, without shared prefixes.

    A request is let in when the blocks of its prompt and of the tokens in flight are free; once it decodes it keeps its
    window only. https://github.com/vllm-project/vllm/blob/v0.32.0/vllm/v1/core/single_type_kv_cache_manager.py#L213
    """
    admitted = sum(blocks_of_request(asked, length))
    kept = sum(
        ceil_div(group.window, group.tokens_per_block) + 1 if group.window else ceil_div(length, group.tokens_per_block)
        for group in _groups(asked)
    )
    spare = num_blocks - 1 - admitted
    return min(spare // kept + 1, asked.max_num_seqs) if spare >= 0 else 0
