"""A batch in one process: chunks are answered in several threads, and written in their order."""

import gc
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from zeropoint.batch.answering import Answered, Answering
from zeropoint.batch.chunk import Chunk
from zeropoint.batch.forms import Form
from zeropoint.batch.shards import Shards

_COLLECTED = 64  # chunks, until what is garbage is looked for
_AHEAD = 2  # chunks for each thread that are read or answered, and not yet written


def run(
    chunks: Iterable[Chunk],
    answering: Answering,
    form: Form,
    shards: Shards,
    threads: int,
    tell: Callable[[Answered], None],
    stopped: Callable[[], bool],
) -> bool:
    """Answers and writes all chunks; whatever ends it, rows that are answered are written.

    Args:
        chunks: In order. They are read in this thread.
        answering: Answers them.
        form: How rows are written.
        shards: Where; it is closed at the end.
        threads: How many answer.
        tell: Is told of each chunk, in order, as it is written.
        stopped: Tells whether somebody wants it to end. Nothing may be raised in this thread for
            it, as a chunk would then be written twice, or not at all.

    Returns:
        Whether these were all.

    Raises:
        UnavailableError: the storage of the inputs is away.
        SettingsError: nothing can be written.
    """
    window: deque[Future[Answered]] = deque()
    written = itertools.count(1)

    def write_oldest() -> None:
        answered = window[0].result()
        window.popleft()
        shards.add(*answered)
        tell(answered)
        if next(written) % _COLLECTED == 0:
            gc.collect()

    done = False
    # Millions of dicts that are no garbage would be looked at again and again.
    gc.freeze()
    gc.disable()
    with ThreadPoolExecutor(threads, "batch") as pool:
        try:
            for chunk in chunks:
                window.append(pool.submit(answering.written, chunk, form))
                if len(window) >= threads * (1 + _AHEAD):
                    write_oldest()
                if stopped():
                    break
            else:
                while window and not stopped():
                    write_oldest()
                done = not window
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while not done and window and window[0].done() and not window[0].cancelled():
                if window[0].exception():
                    break
                write_oldest()
            gc.enable()
            shards.close(done)
    return done
