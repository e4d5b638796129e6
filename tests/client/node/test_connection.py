"""A site's end of the protocol against a coordinator of a few lines."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from flwr.app import Error, MetricRecord, RecordDict
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import PullObjectResponse, PushObjectRequest, PushObjectResponse
from flwr.proto.run_pb2 import GetRunResponse, Run

from client.node import calls
from client.node import connection as opening
from client.node.calls import Connection, RunOver, Stopped, Unrecognised
from client.node.connection import Access, activate, beat, connect, deactivate, leave
from client.node.resident import Reply
from client.node.transfer import Received, fetch_parts, is_over, push, receive
from shared.deployment.keys import generate_private_key
from shared.deployment.wire import HEARTBEAT_SECONDS, SIZE_HEADER, WAIT_HEADER
from shared.errors import SiteError

Answer = httpx.Response | Exception
KEY = generate_private_key()


class Coordinator:
    """Gives the answers that were prepared, one by one, and the last one again and again."""

    def __init__(self, connection: Connection) -> None:
        self.answers: list[Answer] = []
        self.asked: list[httpx.Request] = []
        self.connection = connection

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def proto(message: object) -> httpx.Response:
    content = message.SerializeToString()  # type: ignore[attr-defined]
    return httpx.Response(200, content=content, headers={"content-type": "application/protobuf"})


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers=headers)


def clock(ahead: float) -> str:
    """The date of a coordinator when this machine's clock is ahead of it by so many seconds."""
    return format_datetime(datetime.now(UTC) - timedelta(seconds=ahead), usegmt=True)


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    for module in (calls, opening):
        monkeypatch.setattr(module, "RETRY_SECONDS", (0.0,))
    with connect(Access("127.0.0.1:1", None, KEY), threading.Event()) as connection:
        stub = Coordinator(connection)
        transport = httpx.MockTransport(stub)
        monkeypatch.setattr(connection.client, "_client", httpx.Client(transport=transport))
        yield stub


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedthaw.site")


NOTHING = proto(PullMessagesResponse())


def test_a_question_asks_to_be_held_and_is_signed(coordinator: Coordinator) -> None:
    coordinator.answers = [NOTHING]
    assert receive(coordinator.connection) is None
    (request,) = coordinator.asked
    assert request.url.path == "/v1/fleet/pull-messages"
    assert float(request.headers[WAIT_HEADER]) > 1
    assert request.headers["flwr-public-key"]
    assert SIZE_HEADER not in request.headers


def test_passing_trouble_is_waited_out_and_told_once(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.answers = [
        httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), ssl.SSLError("torn"),
        status(500), status(502), status(503), status(504), status(408), status(429), NOTHING,
        NOTHING,
    ]  # fmt: skip
    assert receive(coordinator.connection) is None
    assert receive(coordinator.connection) is None
    assert len(coordinator.asked) == 11
    assert [record.message for record in caplog.records if record.name == "fedthaw.site"] == [
        "Not connected to 127.0.0.1:1: refused. Trying again.",
        "Connected to 127.0.0.1:1 again.",
    ]


def test_a_busy_coordinator_is_no_loss(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.answers = [status(503), status(503), NOTHING]
    receive(coordinator.connection)
    assert "Not connected" not in caplog.text


def test_the_end_of_the_process_ends_the_waiting(coordinator: Coordinator) -> None:
    coordinator.answers = [httpx.ConnectError("refused")]
    coordinator.connection.stop.set()
    with pytest.raises(Stopped):
        receive(coordinator.connection)


@pytest.mark.parametrize("code", [400, 403, 404, 413])
def test_a_message_that_nobody_wants_any_more_is_dropped(
    coordinator: Coordinator, code: int
) -> None:
    coordinator.answers = [status(code)]
    with pytest.raises(RunOver, match=str(code)):
        receive(coordinator.connection)


def test_whether_a_run_is_over(coordinator: Coordinator) -> None:
    coordinator.answers = [status(503), proto(GetRunResponse(run=Run(run_id=7))), status(403)]
    assert not is_over(coordinator.connection, 7)
    assert is_over(coordinator.connection, 7)
    coordinator.answers = [status(401)]
    with pytest.raises(Unrecognised):
        is_over(coordinator.connection, 7)


@pytest.mark.parametrize("code", [401, 412])
@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (None, "fedthaw server register"),
        (0, "fedthaw server register"),
        (-100, "fedthaw server register"),
        (60, r"clock is \d+ s ahead of the coordinator's; synchronise both with NTP"),
        (-900, r"clock is \d+ s behind the coordinator's"),
        ("nonsense", "fedthaw server register"),
        ("Sun, 29 Nov 2026 11:00:00 -0000", "fedthaw server register"),
        ("Sun, 29 Nov 20261111111 11:00:00 GMT", "fedthaw server register"),
    ],
)
def test_a_site_that_is_not_recognised_is_told_why(
    coordinator: Coordinator, code: int, ahead: int | str | None, said: str
) -> None:
    date = clock(ahead) if isinstance(ahead, int) else ahead
    coordinator.answers = [status(code, **({"date": date} if date else {}))]
    with pytest.raises(Unrecognised, match=said):
        receive(coordinator.connection)


def test_a_site_asks_to_be_let_in_until_it_is(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.connection.unrecognised = True
    coordinator.answers = [status(412), status(401), proto(ActivateNodeResponse(node_id=42))]
    activate(coordinator.connection)
    assert coordinator.connection.node.node_id == 42
    assert not coordinator.connection.unrecognised
    assert caplog.text.count("fedthaw server register") == 1
    sent = ActivateNodeRequest.FromString(coordinator.asked[-1].content)
    assert sent.public_key == coordinator.connection.public_key


def test_what_has_no_place_for_sites_as_yet_ends_none(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    """A reverse proxy answers so before the coordinator behind it is there."""
    refusals = [status(404), status(403), status(302), httpx.Response(200, text="<html>")]
    coordinator.answers = [*refusals, proto(ActivateNodeResponse(node_id=42))]
    activate(coordinator.connection)
    assert coordinator.connection.node.node_id == 42
    assert "Not connected to 127.0.0.1:1: the coordinator answers 404" in caplog.text


def test_a_certificate_of_another_authority_is_explained(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    error = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1)"
    coordinator.answers = [httpx.ConnectError(error), NOTHING]
    receive(coordinator.connection)
    assert "compare the fingerprint of ca.crt" in caplog.text


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    for file in (tmp_path / "ca.crt", tmp_path / "absent.crt"):
        with (
            pytest.raises(SiteError, match=rf"{file.name} cannot be read"),
            connect(Access("h:1", file, KEY), threading.Event()),
        ):
            pass


# Heartbeats


def beats(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
    """As many heartbeats as there are answers."""
    waits = [False] * len(answers) + [True]
    monkeypatch.setattr(coordinator.connection.stop, "wait", lambda _: waits.pop(0))
    coordinator.answers = list(answers)
    beat(coordinator.connection)
    assert len(coordinator.asked) == len(answers)


def test_trouble_on_the_way_ends_no_heartbeat(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats(
        coordinator, monkeypatch,
        httpx.ConnectError("refused"), ssl.SSLError("torn"), httpx.ReadTimeout("slow"),
        status(503), status(404), httpx.Response(200, text="<html>A proxy's own page</html>"),
        proto(SendNodeHeartbeatResponse(success=True)),
    )  # fmt: skip
    assert not coordinator.connection.unrecognised


@pytest.mark.parametrize(("kept", "connections"), [(None, 1), (0.01, 2)])
def test_a_connection_waits_for_the_next_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, kept: float | None, connections: int
) -> None:
    """A new one each time would have to get in among strangers each time."""
    assert opening.KEPT_SECONDS > 2 * HEARTBEAT_SECONDS
    monkeypatch.setattr(opening, "KEPT_SECONDS", kept or opening.KEPT_SECONDS)
    sources = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sources.add(self.client_address)
            self.rfile.read(int(self.headers["content-length"]))
            content = SendNodeHeartbeatResponse(success=True).SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/protobuf")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        with connect(Access(address, None, KEY), threading.Event()) as connection:
            for _ in range(2):
                connection.client.SendNodeHeartbeat(SendNodeHeartbeatRequest())
                time.sleep(0.05)
        server.shutdown()
    assert len(sources) == connections


@pytest.mark.parametrize(
    "answer", [status(401), proto(SendNodeHeartbeatResponse(success=False))], ids=["401", "no"]
)
def test_a_coordinator_that_has_forgotten_the_site_is_noticed(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    beats(coordinator, monkeypatch, answer)
    coordinator.answers = [NOTHING]
    with pytest.raises(Unrecognised):
        receive(coordinator.connection)


# The end


def test_an_open_question_is_taken_back_at_the_end(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    """The coordinator hears good-bye while it holds the question, which it then answers."""
    connection, good_bye = coordinator.connection, threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        coordinator.asked.append(request)
        if request.url.path.endswith("/deactivate-node"):
            good_bye.set()
        else:
            connection.stop.set()
            assert good_bye.wait(20)
        return NOTHING

    connection.client._client = httpx.Client(transport=httpx.MockTransport(answer))
    leaving = threading.Thread(target=leave, args=(connection,))
    leaving.start()
    assert "Ending" not in caplog.text
    assert receive(connection) is None
    leaving.join(20)
    assert [request.url.path.rpartition("/")[2] for request in coordinator.asked] == [
        "pull-messages", "deactivate-node",
    ]  # fmt: skip
    assert "Ending" in caplog.text


@pytest.mark.parametrize(
    "answer", [ssl.SSLError("torn"), httpx.ConnectError("refused"), status(401), status(200)]
)
def test_no_trouble_hinders_a_good_bye(coordinator: Coordinator, answer: Answer) -> None:
    coordinator.answers = [answer]
    deactivate(coordinator.connection)
    assert len(coordinator.asked) == 1


def test_nothing_is_taken_back_where_no_question_is_open(coordinator: Coordinator) -> None:
    """A reply on its way would be refused after a good-bye."""
    connection = coordinator.connection
    connection.stop.set()
    leaving = threading.Thread(target=leave, args=(connection,))
    leaving.start()
    leaving.join(0.3)
    assert leaving.is_alive()
    connection.closed.set()
    leaving.join(20)
    assert not leaving.is_alive()
    assert coordinator.asked == []


# Messages


def test_a_message_without_its_parts_is_dropped(
    coordinator: Coordinator, make_received: Callable[[RecordDict], Received]
) -> None:
    received = make_received(RecordDict({"m": MetricRecord({"a": 1})}))
    coordinator.answers = [proto(PullObjectResponse(object_found=False))]
    with pytest.raises(RunOver, match="no longer there"):
        fetch_parts(coordinator.connection, received.message, received.tree)


def test_parts_are_what_their_digests_say(
    coordinator: Coordinator, make_received: Callable[[RecordDict], Received]
) -> None:
    received = make_received(RecordDict({"m": MetricRecord({"a": 1})}))

    def answer(request: httpx.Request) -> httpx.Response:
        from flwr.proto.message_pb2 import ConfirmMessageReceivedResponse, PullObjectRequest

        if request.url.path.endswith("confirm-message-received"):
            return proto(ConfirmMessageReceivedResponse())
        name = PullObjectRequest.FromString(request.content).object_id
        found = PullObjectResponse(
            object_found=True, object_available=True, object_content=received.parts[name]
        )
        return proto(found)

    coordinator.connection.client._client = httpx.Client(transport=httpx.MockTransport(answer))
    got = fetch_parts(coordinator.connection, received.message, received.tree)
    assert dict(got.parts) == dict(received.parts)


def test_a_reply_is_announced_and_only_what_is_wanted_is_sent(
    coordinator: Coordinator, make_reply: Callable[..., Reply]
) -> None:
    reply = make_reply(RecordDict({"m": MetricRecord({"a": 1})}))
    wanted = sorted(reply.parts)[:2]
    first = PushMessagesResponse(session_id="s", objects_to_push=wanted)
    coordinator.answers = [proto(first), proto(PushObjectResponse(stored=True))]
    push(coordinator.connection, reply.message, reply.tree, reply.parts, 1.5)
    announced, *pieces = coordinator.asked
    assert int(announced.headers[SIZE_HEADER]) == sum(map(len, reply.parts.values()))
    assert len(PushMessagesRequest.FromString(announced.content).messages_list) == 1
    sent = [PushObjectRequest.FromString(one.content) for one in pieces]
    assert {one.object_id: one.object_content for one in sent} == {
        name: reply.parts[name] for name in wanted
    }
    assert {one.session_id for one in sent} == {"s"}
    assert all(SIZE_HEADER not in one.headers for one in pieces)


def test_a_reply_waits_until_there_is_room(
    coordinator: Coordinator, make_reply: Callable[..., Reply]
) -> None:
    reply = make_reply(Error(1, "it failed"))
    coordinator.answers = [status(503), status(503), proto(PushMessagesResponse())]
    push(coordinator.connection, reply.message, reply.tree, reply.parts, 0.0)
    assert len(coordinator.asked) == 3
    assert len({one.headers[SIZE_HEADER] for one in coordinator.asked}) == 1
