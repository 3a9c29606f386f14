"""From scores to the next token: the likeliest, or one by chance that a seed repeats."""

import numpy as np
from numpy.typing import NDArray

_FIRST_LOOK = 256  # tokens; a model is seldom in doubt between more


class Sampler:
    """Chooses the tokens of one text.

    The order is that of Hugging Face's transformers: the repetition penalty (Keskar et al. 2019,
    arXiv:1909.05858), the temperature, then the ``top_k`` likeliest, and of these the fewest whose
    probabilities add up to ``top_p`` (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        temperature: 0 takes the likeliest token each time; the others are for chance only.
        top_k: Most tokens to choose between; 0: all.
        top_p: Of their probability, in (0, 1].
        repetition_penalty: By which scores of tokens that stand in prompt or text already are
            divided if positive, multiplied if negative; 1 changes none.
        seed: The same one gives the same choices; None: another each time.
    """

    def __init__(
        self,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self._temperature = temperature
        self._top_k = top_k
        self._top_p = top_p
        self._penalty = repetition_penalty
        self._chance = np.random.Generator(np.random.PCG64(seed))

    def choose(self, scores: NDArray[np.float32], seen: NDArray[np.int64]) -> int:
        """Returns the next token.

        Args:
            scores: Of each token, shape (vocabulary,).
            seen: The tokens so far, in any order.
        """
        if self._penalty != 1.0 and len(seen):
            scores = self._penalized(scores, seen)
        if self._temperature == 0.0:
            return int(scores.argmax())
        tokens, probabilities = self._candidates(scores)
        sums = probabilities.cumsum()
        place = sums.searchsorted(self._chance.random() * sums[-1], side="right")
        return int(tokens[min(place, len(tokens) - 1)])

    def _penalized(
        self, scores: NDArray[np.float32], seen: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        found = scores.copy()
        known = np.unique(seen)
        met = found[known]
        found[known] = np.where(met > 0, met / self._penalty, met * self._penalty)
        return found

    def _candidates(
        self, scores: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the tokens to choose between and their weights, the likeliest first."""
        most = min(self._top_k or len(scores), len(scores))
        look = most if self._top_p >= 1.0 else min(_FIRST_LOOK, most)
        if most < len(scores):
            scores = _only(scores, most)
        weights = np.exp((scores.astype(np.float64) - scores.max()) / self._temperature)
        limit = self._top_p * weights.sum()
        while True:
            tokens = _likeliest(scores, look)
            chosen = weights[tokens]
            if self._top_p >= 1.0:
                return tokens, chosen
            kept = 1 + int((chosen.cumsum() < limit).sum())
            if kept <= look or look == most:
                return tokens[:kept], chosen[:kept]
            look = min(8 * look, most)


def _only(scores: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Returns the scores, those of all but the ``most`` likeliest tokens -inf."""
    found = np.full_like(scores, -np.inf)
    tokens = _likeliest(scores, most)
    found[tokens] = scores[tokens]
    return found


def _likeliest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Returns the tokens of the highest scores, in their order; of equal ones the lower token."""
    if count < len(scores):
        border = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > border)
        equal = np.flatnonzero(scores == border)[: count - len(above)]
        tokens = np.concatenate((above, equal))
    else:
        tokens = np.arange(len(scores))
    return tokens[np.lexsort((tokens, -scores[tokens]))].astype(np.int64)
