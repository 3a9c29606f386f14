"""The key that requests bring where ``ZEROPOINT_API_KEY`` asks for one."""

import os


class Key:
    """A key, of which only a digest is kept.

    Args:
        key: As the settings have it.
    """

    def __init__(self, key: str) -> None:
        self._salt = os.urandom(32)
        self._digest = self._digested(key)

    def opens(self, authorization: str, api_key: str) -> bool:
        """Tells whether a request brings the key, in a time that tells nothing of it.

        Args:
            authorization: The header Authorization, ``Bearer …``; empty: none.
            api_key: The header X-API-Key; empty: none.
        """
        scheme, _, token = authorization.strip().partition(" ")
        is_bearer = scheme.lower() == "bearer"
        return (is_bearer & self._is(token.strip())) | self._is(api_key.strip())

    def _is(self, given: str) -> bool:
        import hmac  # where there is a key only: not on the way to a prediction elsewhere

        return hmac.compare_digest(self._digested(given), self._digest)

    def _digested(self, key: str) -> bytes:
        """Returns as many bytes for every key: two lengths compared would tell the length."""
        import hmac

        return hmac.digest(self._salt, key.encode("utf-8", "replace"), "sha256")
