"""A model's tokenizer: texts to tokens, and tokens to text as they come."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zeropoint.errors import InvalidError, ManifestError, SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Vocabulary:
    """The tokens of a model.

    Args:
        definition: Of the tokenizer, as tokenizer.json has it.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the definition is none.
        SettingsError: tokenizers is not installed.
    """

    def __init__(self, definition: str, place: str) -> None:
        self._definition = definition
        self._place = place
        self._tokenizer = self._read()
        self._plain: Tokenizer | None = None
        self._lock = threading.Lock()
        added = self._tokenizer.get_added_tokens_decoder().values()
        self.special = tuple(token.content for token in added if token.special)

    def id_of(self, token: str) -> int:
        """Returns a token's number.

        Raises:
            ManifestError: there is no such token.
        """
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ManifestError(f"{self._place}: expected {token!r} among the tokens, got none")
        return int(found)

    def encode(self, text: str, plain: bool = False) -> list[int]:
        """Returns a text's tokens.

        Args:
            text: Of any length.
            plain: Whether a special token's name in it is text, as all else.

        Raises:
            InvalidError: the text cannot be written in UTF-8, or has unknown words.
        """
        tokenizer = self._without_special() if plain else self._tokenizer
        try:
            found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        except Exception:  # the library has no class of its own
            raise InvalidError("expected a text of the model's tokens, got another") from None
        return found

    def decoder(self) -> Callable[[int], str]:
        """Returns what makes tokens, one after another, text; of half a character none."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)
        return lambda token: stream.step(self._tokenizer, token) or ""

    def holds_special(self, texts: Sequence[str]) -> bool:
        """Tells whether a special token's name stands in a text."""
        return any(name in text for text in texts for name in self.special)

    def _without_special(self) -> "Tokenizer":
        """Returns one that knows no special tokens; another, as threads use the first."""
        with self._lock:
            if self._plain is None:
                self._plain = self._read()
                self._plain.encode_special_tokens = True
            return self._plain

    def _read(self) -> "Tokenizer":
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise SettingsError(
                f"{self._place} needs tokenizers: pip install 'zeropoint[text]'"
            ) from None
        try:
            tokenizer = Tokenizer.from_str(self._definition)
        except Exception as error:  # the library has no class of its own
            raise ManifestError(f"{self._place}: expected a tokenizer: {error}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
