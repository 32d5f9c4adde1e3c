"""What the engine answers, and how long it takes: pure functions of the message and of the request id.

There is no model behind it. The same message has the same answer on every instance, color and version, so that a
stream can be taken over by another instance, and a reply can be judged without asking anyone.
"""

import hashlib
import math
import random
from dataclasses import dataclass

import msgspec

from services.common.config import Latency, Stream

BYTES_PER_TOKEN = 4  # the usual rule of thumb of providers for English text
WORDS = (
    "steady", "river", "carries", "light", "across", "stone", "every", "bridge", "holds", "because", "someone",
    "counted", "slow", "answers", "arrive", "whole", "under", "load", "nothing", "lost", "between", "green", "blue",
    "and", "the", "way", "back", "stays", "open", "until", "proof", "is", "written", "down", "before", "dawn",
)  # fmt: skip


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(msgspec.Struct, frozen=True):
    """What is kept under an idempotency key. `message_sha256` tells a retry from another message under the same key."""

    answer: str
    usage: Usage
    message_sha256: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until the first token and between two tokens of one request, never equal twice but always the same."""

    latency: Latency
    stream: Stream

    def thinking_s(self, request_id: str) -> float:
        """Lognormal: exp(ln(median) + sigma * z), cut at the maximum."""
        return _lognormal_s(_random(request_id), self.latency.median_ms, self.latency)

    def gaps_s(self, request_id: str, tokens: int) -> list[float]:
        """One gap before each token."""
        source = _random("gaps " + request_id)
        return [_lognormal_s(source, self.stream.gap_ms, self.latency) for _ in range(tokens)]


def tokens_of(message: str, typical: int) -> list[str]:
    """The tokens of the answer, `typical` give or take a quarter; joined they are its text."""
    source = _random(message)
    count = max(1, source.randint(typical - typical // 4, typical + typical // 4))
    words = source.choices(WORDS, k=count)
    return [words[0].capitalize()] + [" " + word for word in words[1:]]


def answer_of(message: str, tokens: list[str]) -> Answer:
    """The whole answer, as it is kept."""
    encoded = message.encode()
    prompt = math.ceil(len(encoded) / BYTES_PER_TOKEN)
    usage = Usage(prompt_tokens=prompt, completion_tokens=len(tokens), total_tokens=prompt + len(tokens))
    return Answer(answer="".join(tokens), usage=usage, message_sha256=hashlib.sha256(encoded).hexdigest())


def _lognormal_s(source: random.Random, median_ms: float, latency: Latency) -> float:
    if median_ms <= 0:
        return 0.0
    return min(source.lognormvariate(math.log(median_ms), latency.sigma), latency.max_ms) / 1000


def _random(text: str) -> random.Random:
    """A source seeded by text: hash() differs between processes, a digest does not."""
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))
