"""The loop over all connections: the system tells it of those where something happened.

Waitress's own asks every connection at each turn, so that a thousand idle ones slow down the one
at work. Here what a connection waits for is told to the system as it changes, by this loop or by
the thread that answers, which need not wake this one for it.
"""

import select
import threading

from waitress import wasyncore

_READ, _WRITE = select.POLLIN | select.POLLPRI, select.POLLOUT


class Poller:
    """Watches dispatchers; where the system has no epoll, it is Waitress's loop.

    Args:
        dispatchers: Waitress's map of them by descriptor; the sockets in it that listen, and the
            trigger, are watched by `turn` alone.
        trigger: Wakes the loop.
    """

    def __init__(
        self, dispatchers: dict[int, wasyncore.dispatcher], trigger: wasyncore.dispatcher
    ) -> None:
        self._dispatchers = dispatchers
        self._trigger = trigger
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._lock = threading.Lock()
        # What each connection is watched for.
        self._watched: dict[int, int] = {}
        self._listening = False
        if self._epoll:
            self._epoll.register(trigger.socket.fileno(), select.EPOLLIN)

    def watch(self, one: wasyncore.dispatcher) -> None:
        """Watches a connection for what it waits for now; any thread may call it.

        While a request of it is answered it may be watched for more, of which nothing comes, as a
        rule: so most requests need no call of the system here.
        """
        self._watch(one, _READ)

    def _watch(self, one: wasyncore.dispatcher, kept: int) -> None:
        epoll = self._epoll
        if epoll is None:
            self._trigger.pull_trigger()
            return
        with self._lock:  # so that whoever comes last has seen the connection's last state
            descriptor = one._fileno
            if descriptor is None or self._dispatchers.get(descriptor) != one:  # it is closed
                return
            before = self._watched.get(descriptor, 0)
            wanted = (_READ if one.readable() else 0) | (_WRITE if one.writable() else 0)
            wanted |= before & kept
            if wanted == before:
                return
            if not before:
                epoll.register(descriptor, wanted)
            elif wanted:
                epoll.modify(descriptor, wanted)
            else:  # else it would be told of one who hung up, again and again
                epoll.unregister(descriptor)
            self._watched[descriptor] = wanted

    def forget(self, descriptor: int) -> None:
        """Watches a connection no more that is about to be closed, which ends it in the system."""
        with self._lock:
            self._watched.pop(descriptor, None)

    def leave(self, listener: wasyncore.dispatcher) -> None:
        """Watches a socket that listens no more, before it is closed.

        Closing does not end it in the system where another process has the socket, too.
        """
        if self._epoll and self._listening:
            self._epoll.unregister(listener.socket)
        self._listening = False

    def turn(self, listener: wasyncore.dispatcher, timeout_s: float) -> None:
        """Waits until something happens, and has the connections read and write.

        Args:
            listener: Accepts connections, while it is `readable`.
            timeout_s: Longest wait.
        """
        if self._epoll is None:
            wasyncore.loop(timeout_s, use_poll=True, map=self._dispatchers, count=1)
            return
        listens = listener.readable()
        if listens and not self._listening:
            self._epoll.register(listener.socket, select.EPOLLIN)
        elif self._listening and not listens and listener.socket:
            self._epoll.unregister(listener.socket)
        self._listening = listens
        for descriptor, events in self._epoll.poll(timeout_s):
            one = self._dispatchers.get(descriptor)
            if one is None:  # closed by one before it
                continue
            if descriptor not in self._watched:  # it listens, or is the trigger
                wasyncore.readwrite(one, events)
            elif one.readable():
                wasyncore.readwrite(one, events)
                self.watch(one)
            else:
                if events & ~_WRITE:
                    one.handle_unread()
                wasyncore.readwrite(one, events & _WRITE)
                self._watch(one, 0)
