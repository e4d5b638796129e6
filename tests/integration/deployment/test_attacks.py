"""Who should not get in, and what should not get out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import select
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import Message, RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PushMessagesRequest
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import Metadata, ObjectTree, PushObjectRequest
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from client.node import connection as node
from client.node.calls import Connection
from client.node.transfer import push, receive
from server.link.connections.gate import BODY_LIMIT, REQUESTS_AT_ONCE
from shared.deployment.keys import load_private_key

pytestmark = pytest.mark.slow
Deploy = Callable[..., Any]

CONTROL = ("start-run", "stop-run", "list-runs", "register-node", "stream-logs", "list-nodes")
RUNTIME = ("acquire-task", "pull-messages", "push-messages", "get-nodes", "pull-task-input")
PROTOBUF = {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}


@pytest.fixture
def browser() -> Iterator[Callable[[Path], httpx.Client]]:
    """An HTTP client that trusts an authority."""
    opened: list[httpx.Client] = []

    def make(authority: Path) -> httpx.Client:
        opened.append(httpx.Client(verify=ssl.create_default_context(cafile=authority)))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@contextmanager
def connected_as(deployment: Any, site: Path) -> Iterator[Connection]:
    """A registered site's own connection, in the hands of the test."""
    home = site / "federation"
    key = load_private_key(home / "key")
    address = f"127.0.0.1:{deployment.port}"
    with node.connect(node.Access(address, home / "ca.crt", key), threading.Event()) as connection:
        node.activate(connection)
        yield connection


def signed_by(connection: Connection) -> dict[str, str]:
    """The headers by which a site says who it is."""
    sent: list[httpx.Request] = []
    connection.client._client.event_hooks["request"] = [sent.append]
    with contextlib.suppress(httpx.HTTPStatusError):
        connection.client.GetRun(GetRunRequest(node=connection.node, run_id=1))
    return {key: value for key, value in sent[-1].headers.items() if key.startswith("flwr")}


def own_addresses() -> list[str]:
    """Addresses of this machine other than the loopback, where it has any."""
    found = set()
    for name in (socket.gethostname(),):
        try:
            found |= {str(info[4][0]) for info in socket.getaddrinfo(name, None, socket.AF_INET)}
        except OSError:
            continue
    return sorted(address for address in found if not address.startswith("127."))


def test_a_site_that_is_removed_is_out_at_once_and_its_key_unknown(deploy: Deploy) -> None:
    deployment = deploy()
    server = deployment.serve()
    site = deployment.client(deployment.sites[1])
    deployment.wait(lambda: "Connected to" in site.said, site)
    deployment.command("server", "remove", "east", "--home", deployment.home)
    deployment.wait(lambda: "does not know this site's key" in site.said, site)
    site.end()
    stranger = deployment.client(deployment.sites[1])
    deployment.wait(lambda: "does not know this site's key" in stranger.said, stranger)
    assert "Connected to" not in stranger.said
    status = deployment.home / "status.json"
    deployment.wait(lambda: set(json.loads(status.read_text())["sites"]) == {"north"}, server)


def test_a_key_of_another_federation(deploy: Deploy, tmp_path: Path) -> None:
    """Its authority is not trusted here; and with ours, its key is unknown."""
    deployment = deploy()
    deployment.serve()
    other = tmp_path / "other"
    words = ("--name", "127.0.0.1", "--port", deployment.port)
    deployment.command("server", "init", other, *words)
    deployment.command("server", "invite", "north", "--home", other)
    visitor = tmp_path / "visitor" / "north"
    shutil.copytree(
        deployment.sites[0], visitor, ignore=shutil.ignore_patterns("federation", "cache")
    )
    invitation = other / "invitations" / "north.json"
    deployment.command("site", "init", visitor, "--invitation", invitation)
    distrusting = deployment.client(visitor)
    deployment.wait(lambda: "not one that this site trusts" in distrusting.said, distrusting)
    distrusting.end()
    trusting = deployment.client(
        visitor, "--ca", deployment.home / "ca.crt", "--server", f"127.0.0.1:{deployment.port}"
    )
    deployment.wait(lambda: "does not know this site's key" in trusting.said, trusting)


def test_plain_http(deploy: Deploy) -> None:
    deployment = deploy()
    server = deployment.serve()
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{deployment.port}/health")
    insecure = deployment.client(
        deployment.sites[0], "--insecure", "--server", f"127.0.0.1:{deployment.port}"
    )
    deployment.wait(lambda: "Not connected to" in insecure.said, insecure)
    assert server.popen.poll() is None
    exposed = deployment.start(
        "exposed", "server", "run", "--home", deployment.home, "--insecure", "--host", "0.0.0.0"
    )
    assert exposed.popen.wait(120) == 2
    assert "--insecure is for trying things on this machine" in exposed.said


def test_control_is_not_to_be_reached(
    deploy: Deploy, browser: Callable[[Path], httpx.Client]
) -> None:
    """Not on the sites' port, from wherever; not on the runs' port either."""
    deployment = deploy()
    deployment.serve()
    client = browser(deployment.home / "ca.crt")
    public = f"https://127.0.0.1:{deployment.port}"
    assert client.get(f"{public}/health").status_code == 200
    paths = [f"/v1/control/{name}" for name in CONTROL]
    paths += [f"/v1/runtime/{name}" for name in RUNTIME]
    paths += ["/v1/fleet/register-node", "/docs", "/openapi.json", "/", "/v1/fleet/../control/x"]
    for path in paths:
        assert client.post(public + path, headers=PROTOBUF).status_code == 404, path
    gate = deployment.gate(deployment.sites[0], 2)
    deployment.clients(gate)
    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(2), submitted)
    inner = _port_of_the_run(deployment)
    for path in [f"/v1/control/{name}" for name in CONTROL] + ["/v1/runtime/acquire-task"]:
        answer = httpx.post(f"http://127.0.0.1:{inner}{path}", headers=PROTOBUF)
        assert answer.status_code == 404, path
    for name in ("pull-messages", "get-nodes", "pull-task-input", "push-messages"):
        answer = httpx.post(f"http://127.0.0.1:{inner}/v1/runtime/{name}", headers=PROTOBUF)
        assert answer.status_code in (401, 403), name
    for address in own_addresses():
        with socket.socket() as probe:
            assert probe.connect_ex((address, inner)) != 0


def _port_of_the_run(deployment: Any) -> int:
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            parts = words.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--runtime-api-address" in parts and str(deployment.folder).encode() in b" ".join(
            parts
        ):
            return int(parts[parts.index(b"--runtime-api-address") + 1].rpartition(b":")[2])
    raise AssertionError("no run is under way")


def test_an_unapproved_bundle_runs_nowhere_until_it_is_approved(deploy: Deploy) -> None:
    deployment = deploy()
    north = deployment.sites[0]
    bundle = json.loads((north / "federation" / "approved.json").read_text())[0]["digest"]
    deployment.command("site", "revoke", north, bundle)
    deployment.serve()
    clients = deployment.clients()
    submitted = deployment.submit()
    sentence = "north cannot take part: its owner has not approved plan "
    deployment.wait(lambda: sentence in submitted.said, submitted)
    plan = submitted.said.split(sentence)[1][:12]
    assert f"{plan} (bundle {bundle} with these settings)" in submitted.said
    assert f"Plan (that code with its settings): {plan}" in submitted.said
    assert f"`fedthaw site approve {north} {plan}`" in clients["north"].said
    assert not (north / "federation" / "bundles").exists()
    deployment.command("site", "approve", north, plan)
    deployment.finish(submitted)
    assert sorted(deployment.rounds()[0]["sites"]) == ["east", "north"]


def test_a_bundle_that_is_not_what_it_says(deploy: Deploy) -> None:
    """The coordinator's copy is changed after it was submitted: it is not even sent."""
    deployment = deploy()
    submitted = deployment.submit(round_timeout=10, reconnect_wait=1)
    deployment.wait(lambda: "Submitted run" in submitted.said, submitted)
    (fab,) = (deployment.home / "bundles").glob("*.fab")
    content = fab.read_bytes()
    fab.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    deployment.serve()
    deployment.clients()
    said = deployment.finish(submitted, code=1)
    assert "The run's bundle cannot be used" in said
    assert not deployment.rounds()


def test_a_replayed_request_and_a_stolen_timestamp(
    deploy: Deploy, browser: Callable[[Path], httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deploy()
    deployment.serve()
    client = browser(deployment.home / "ca.crt")
    sent: list[httpx.Request] = []
    with connected_as(deployment, deployment.sites[0]) as connection:
        send = connection.client._client.send

        def recorded(request: httpx.Request, **more: Any) -> httpx.Response:
            sent.append(request)
            return send(request, **more)

        monkeypatch.setattr(connection.client._client, "send", recorded)
        # As if recorded ten minutes ago: signed with the site's key, but of another time.
        monkeypatch.setattr(
            "flwr.supernode.node_auth_http_interceptor.now",
            _ten_minutes_ago,
        )
        with pytest.raises(httpx.HTTPStatusError) as refused:
            connection.client.ActivateNode(
                ActivateNodeRequest(public_key=connection.public_key, heartbeat_interval=10)
            )
        assert refused.value.response.status_code == 401
    # And the same bytes again, from somebody else who saw them.
    request = sent[-1]
    again = client.post(str(request.url), content=request.content, headers=dict(request.headers))
    assert again.status_code == 401


def _ten_minutes_ago() -> Any:
    from flwr.supercore.date import now

    return now() - timedelta(minutes=10)


def test_replies_that_are_oversized_malformed_or_in_another_name(
    deploy: Deploy, browser: Callable[[Path], httpx.Client]
) -> None:
    deployment = deploy()
    server = deployment.serve()
    public = f"https://127.0.0.1:{deployment.port}/v1/fleet"
    client = browser(deployment.home / "ca.crt")
    # What is announced as too large is refused before anybody asks whose it is.
    for content, status in ((bytes(BODY_LIMIT + 1), 413), (b"\xff" * 64, 401)):
        stranger = client.post(f"{public}/push-object", content=content, headers=PROTOBUF)
        assert stranger.status_code == status
    with (
        connected_as(deployment, deployment.sites[0]) as north,
        connected_as(deployment, deployment.sites[1]) as east,
    ):
        forged = MessageProto(
            metadata=Metadata(
                run_id=1, message_id="0" * 64, src_node_id=east.node.node_id, dst_node_id=1,
                reply_to_message_id="1" * 64, message_type="train", ttl=10, group_id="1",
            )
        )  # fmt: skip
        request = PushMessagesRequest(
            node=north.node, messages_list=[forged],
            message_object_trees=[ObjectTree(object_id="0" * 64)],
        )  # fmt: skip
        with pytest.raises(httpx.HTTPStatusError) as refused:
            north.client.PushMessages(request)
        assert refused.value.response.status_code == 403
        forged.metadata.src_node_id = north.node.node_id
        request = PushMessagesRequest(
            node=north.node, messages_list=[forged],
            message_object_trees=[ObjectTree(object_id="2" * 64)],
        )  # fmt: skip
        with pytest.raises(httpx.HTTPStatusError) as refused:
            north.client.PushMessages(request)
        assert refused.value.response.status_code == 400
        flood = PushObjectRequest(node=north.node, run_id=1, object_content=bytes(BODY_LIMIT + 1))
        with pytest.raises(httpx.HTTPStatusError) as refused:
            north.client.PushObject(flood)
        assert refused.value.response.status_code == 413
        garbage = client.post(
            f"{public}/push-messages", content=b"\xff" * 64, headers=PROTOBUF | signed_by(north)
        )
        assert 400 <= garbage.status_code < 500
        assert garbage.status_code != 401
    assert server.popen.poll() is None


def test_replies_that_cannot_be_read(deploy: Deploy) -> None:
    """Their site is refused by its name, and the run goes on with the others."""
    deployment = deploy()
    deployment.serve()
    gate = deployment.gate(deployment.sites[1], 1)
    with connected_as(deployment, deployment.sites[0]) as north:
        deployment.client(deployment.sites[1], faults=gate.faults)
        # However busy the machine, north is there when the run asks for the first time.
        threading.Thread(target=node.beat, args=(north,), daemon=True).start()
        submitted = deployment.submit(min_sites=1, rounds=1, reconnect_wait=1)
        while submitted.popen.poll() is None:
            if (received := receive(north)) is not None:
                push(north, *_unreadable(received[0]), seconds=0.1)
                gate.open(1)
        north.stop.set()
    said = deployment.finish(submitted)
    assert "north cannot take part: its reply cannot be read (JSONDecodeError)." in said
    assert [list(line["sites"]) for line in deployment.rounds()] == [["east"]] * 2


def _unreadable(message: Message) -> tuple[MessageProto, ObjectTree, dict[str, bytes]]:
    """A reply whose parts have the names and lengths that they should have, and no more."""
    body = "{" + message.metadata.message_id  # of its own, or the coordinator has it already
    content = f"RecordDict  {len(body)}\0{body}".encode()
    inner = hashlib.sha256(content).hexdigest()
    head = f"Message {inner} 0\0".encode()
    outer = hashlib.sha256(head).hexdigest()
    reply = Message(RecordDict(), reply_to=message)
    reply.metadata.__dict__["_message_id"] = outer
    tree = ObjectTree(object_id=outer, children=[ObjectTree(object_id=inner)])
    return message_to_proto(reply), tree, {inner: content, outer: head}


def test_a_site_that_calls_itself_by_another_name(deploy: Deploy) -> None:
    """The name that its key is registered under counts."""
    deployment = deploy()
    toml = deployment.sites[1] / "site.toml"
    toml.write_text(toml.read_text().replace('name = "east"', 'name = "north"'))
    deployment.serve()
    deployment.clients()
    submitted = deployment.submit()
    sentence = "registered as 'east' calls itself 'north'"
    deployment.wait(lambda: sentence in submitted.said, submitted)
    assert not deployment.rounds()


def test_no_path_and_no_identifier_leaves_a_site(deploy: Deploy) -> None:
    """Whatever goes wrong there: what the coordinator keeps and says names neither."""
    deployment = deploy()
    north, east = deployment.sites
    server = deployment.serve()
    secret = f"/data/radiology/{north.name}/Miller^Anna 1961-07-15 pixel 4711"
    client = deployment.client(
        north, faults={"site": "north", "round": 1, "act": "raise", "times": 99, "text": secret}
    )
    deployment.client(east)
    submitted = deployment.submit()
    said = deployment.finish(submitted, code=1)
    assert secret in client.said
    kept = [path for path in deployment.home.rglob("*") if path.is_file()]
    texts = [said, server.said, *(path.read_bytes().decode("latin-1") for path in kept)]
    for text in texts:
        assert "Miller" not in text
        assert "pixel 4711" not in text  # digits alone stand in a digest by chance
        assert str(north) not in text
    assert "an unexpected RuntimeError; the site's own log says more" in said


def test_requests_that_stall(deploy: Deploy) -> None:
    """One site's key opens so many and no more, and everybody else is served meanwhile."""
    deployment = deploy()
    server = deployment.serve()
    context = ssl.create_default_context(cafile=deployment.home / "ca.crt")
    with (
        contextlib.ExitStack() as opened,
        connected_as(deployment, deployment.sites[0]) as north,
        connected_as(deployment, deployment.sites[1]) as east,
    ):
        head = "POST /v1/fleet/push-object HTTP/1.1\r\nHost: hub\r\nContent-Length: 4000000\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in signed_by(north).items())
        stalled: list[ssl.SSLSocket] = []
        for _ in range(2 * REQUESTS_AT_ONCE):
            raw = opened.enter_context(socket.create_connection(("127.0.0.1", deployment.port)))
            secured = opened.enter_context(context.wrap_socket(raw, server_hostname="127.0.0.1"))
            secured.sendall(f"{head}\r\nhalf".encode())
            stalled.append(secured)
        answers: dict[socket.socket, bytes] = {}
        while len(answers) < REQUESTS_AT_ONCE:
            silent = [one for one in stalled if one not in answers]
            ready = select.select(silent, [], [], 60)[0]
            assert ready
            answers |= {one: line for one in ready if (line := _first_line(one)) is not None}
        assert set(answers.values()) == {b"HTTP/1.1 503 Service Unavailable"}
        assert not any(_first_line(one) for one in stalled if one not in answers)
        request = GetRunRequest(node=east.node, run_id=1)
        with pytest.raises(httpx.HTTPStatusError) as answered:
            east.client.GetRun(request)
        assert answered.value.response.status_code not in (401, 503)
    assert server.popen.poll() is None


def _first_line(secured: ssl.SSLSocket) -> bytes | None:
    """What has come, None where it is of TLS alone (a session's tickets)."""
    secured.settimeout(0)
    try:
        return secured.recv(100).split(b"\r\n")[0]
    except ssl.SSLWantReadError:
        return None
