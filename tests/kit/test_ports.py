"""A port is given to one who asks, not to two."""

import socket

import pytest

from recoup.kit.ports import free_port, is_taken, kept_port


def test_no_port_is_given_twice():
    given = [free_port() for _ in range(300)]
    assert len(set(given)) == len(given)


def test_a_port_that_is_kept_is_for_those_who_share_it_and_for_nobody_else():
    port = kept_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(("127.0.0.1", port))
        ours.listen()
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            assert ours.accept()[1] == visitor.getsockname()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_is_taken_while_somebody_listens_there_who_would_share_it(host):
    port = kept_port()
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        door.bind(("127.0.0.1", port))
        door.listen()
        assert is_taken(host, port)


def test_a_port_is_free_again_as_soon_as_its_listener_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            door.accept()[0].close()
    assert not is_taken("127.0.0.1", port)
