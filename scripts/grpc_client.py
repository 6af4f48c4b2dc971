"""Checks the gRPC interface of a running service as a client of another make: grpcio, without any file of ours.

usage: grpc_client.py HOST:PORT CHECK [ARGUMENT ...] [CHECK ...]
  health                    health of the server and of the service, and what reflection lists
  scenario SONG             submits, watches, gets, lists, downloads; the same again
  errors                    status codes and the words that stand beside them
  cancel SONG               stops a job and sees its end
  link URL SONG             has the service fetch a song
  memory SONG SHA256 PID    submits a song and looks at what the server's process needs for it
  keys KEY                  calls without a key, with a wrong one, with this one
  tls CERTIFICATE           calls under TLS, and without
"""

import hashlib
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

NAME = "msaas.v1.Separation"
PATIENCE_S = 100


class Service:
    """The calls of the service, as reflection tells them."""

    def __init__(self, channel, metadata=()):
        self.channel, self.metadata = channel, metadata
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.service = self.pool.FindServiceByName(NAME)

    def message(self, name, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"msaas.v1.{name}"))(**fields)

    def __getattr__(self, name):
        method = self.service.FindMethodByName(name)
        kind = {(True, False): "stream_unary", (False, True): "unary_stream", (False, False): "unary_unary"}
        make = getattr(self.channel, kind[method.client_streaming, method.server_streaming])
        answer = message_factory.GetMessageClass(method.output_type)
        call = make(f"/{NAME}/{name}", lambda message: message.SerializeToString(), answer.FromString)

        def ask(request=None, **fields):
            request = request if request is not None else self.message(f"{name}Request", **fields)
            return call(request, metadata=self.metadata, timeout=PATIENCE_S)

        return ask

    def pieces(self, path, options=None, size=1 << 18):
        """A song as messages."""
        if options is not None:
            order = self.message("Order", options=self.message("Options", **options))
            yield self.message("SubmitRequest", order=order)
        with open(path, "rb") as file:
            while piece := file.read(size):
                yield self.message("SubmitRequest", chunk=piece)


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def fails(what, code, word, call):
    """Has a call fail with this status, and this word beside it."""
    try:
        answer = call()
        answer = list(answer) if hasattr(answer, "__next__") else answer
    except grpc.RpcError as error:
        beside = dict(error.trailing_metadata() or ())
        expect(what, (error.code().name, beside.get("msaas-code")), (code, word))
        return beside
    sys.exit(f"{what} went well: {answer}")


def health(service):
    stub = health_pb2_grpc.HealthStub(service.channel)
    for name in ["", NAME]:
        # Watched: the first look at store and queue may not be over.
        for answer in stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
        check = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)
        expect(f"health of {name!r}", check.status, health_pb2.HealthCheckResponse.SERVING)
    listed = set(service.database.get_services())
    expect("listed", {NAME, "grpc.health.v1.Health"} - listed, set())


def scenario(service, song):
    options = {"stems": ["vocals", "bass"], "flac": service.message("Flac", bits=24)}
    job = service.Submit(service.pieces(song, options))
    expect("a new job", (job.deduplicated, list(job.options.stems), job.title), (False, ["bass", "vocals"], "Tune"))
    events = list(service.Watch(id=job.id))
    numbers = [event.number for event in events if event.number]
    expect("numbers of events", numbers, sorted(set(numbers)))
    kinds = [event.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[event.kind].name for event in events]
    expect("stems that were told", sorted(event.stem for event in events if event.stem), ["bass", "vocals"])
    expect("the last event", (kinds[-1], events[-1].job.state, events[-1].job.progress.percent), ("KIND_STATE", 3, 100))
    done = service.Get(id=job.id)
    expect("the job", done, events[-1].job)
    # Of several steps forward only the last one is told, so the second time there may be fewer events.
    after = [event.number for event in service.Watch(id=job.id, after=numbers[0]) if event.number]
    expect("events after the first one", (after[0] > numbers[0], after[-1], after), (True, numbers[-1], sorted(set(after))))
    for stem in done.stems:
        file, *pieces = service.Download(id=job.id, stem=stem.name)
        content = b"".join(piece.chunk for piece in pieces)
        expect("a file", hashlib.sha256(content).hexdigest(), stem.sha256)
        expect("its head", (file.file.size_bytes, file.file.sha256, file.file.media_type), (len(content), stem.sha256, "audio/flac"))
        _, *rest = service.Download(id=job.id, stem=stem.name, offset=1000)
        expect("the rest of it", b"".join(piece.chunk for piece in rest), content[1000:])
        expect("nothing more", len(list(service.Download(id=job.id, stem=stem.name, offset=len(content)))), 1)
    again = service.Submit(service.pieces(song, options, size=3 << 20))
    expect("the same again", (again.deduplicated, again.id, again.state), (True, job.id, 3))
    expect("an end is an end", service.Cancel(id=job.id).state, 3)
    page = service.List(state=3, limit=1)
    expect("the list", ([job.id for job in page.jobs], bool(page.next_cursor)), ([job.id], True))
    expect("its next page", len(service.List(state=3, cursor=page.next_cursor).jobs), 0)


def errors(service):
    order = lambda **options: service.message("SubmitRequest", order=service.message("Order", options=service.message("Options", **options)))
    chunk = lambda content: service.message("SubmitRequest", chunk=content)
    submit = lambda *messages: lambda: service.Submit(iter(messages))
    for name in ["Get", "Cancel", "Watch", "Download"]:
        fails(f"{name} of nothing", "NOT_FOUND", "not_found", lambda name=name: getattr(service, name)(id="x"))
    fails("a cursor", "INVALID_ARGUMENT", "invalid_cursor", lambda: service.List(cursor="x"))
    fails("no message", "INVALID_ARGUMENT", "empty", submit())
    fails("no song", "INVALID_ARGUMENT", "not_audio", submit(chunk(b"no song at all " * 200_000)))
    fails("a message without a part", "INVALID_ARGUMENT", "invalid_request", submit(service.message("SubmitRequest")))
    fails("a large message", "INVALID_ARGUMENT", "too_large", submit(chunk(bytes(5 << 20))))
    fails("an order after the song", "INVALID_ARGUMENT", "invalid_request", submit(chunk(b"ID3"), order()))
    fails("a model", "INVALID_ARGUMENT", "unknown_model", submit(order(model="no/model")))
    beside = fails("a stem", "INVALID_ARGUMENT", "invalid_option", submit(order(stems=["flute"]), chunk(b"x")))
    expect("the name of a call", bool(beside.get("x-request-id")), True)


def cancel(service, song):
    job = service.Submit(service.pieces(song, {"shifts": 20}))
    expect("a job that is stopped", service.Cancel(id=job.id).state, 5)
    last = list(service.Watch(id=job.id))[-1]
    expect("its end", last.job.state, 5)
    fails("its stem", "NOT_FOUND", "not_found", lambda: list(service.Download(id=job.id, stem="bass")))


def link(service, url, song):
    order = lambda url: iter([service.message("SubmitRequest", order=service.message("Order", url=url))])
    with open(song, "rb") as file:
        expect("the song", service.Submit(order(url)).song, hashlib.sha256(file.read()).hexdigest())
    fails("a link inside", "INVALID_ARGUMENT", "invalid_link", lambda: service.Submit(order("http://10.0.0.1/x.mp3")))


def resident_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))


def memory(service, song, sha256, pid):
    # What the first upload of any size makes the process keep is not counted: caches, threads.
    small = service.message("SubmitRequest", chunk=open(song, "rb").read(1 << 20))
    service.Submit(iter([small]))
    before = resident_kib(pid, "VmHWM")
    job = service.Submit(service.pieces(song))
    expect("the song's SHA-256", job.song, sha256)
    grown = resident_kib(pid, "VmHWM") - before
    print(f"{job.size_bytes} bytes uploaded by gRPC; the process grew by {grown} KiB at most, from {before} KiB")
    if grown > 32 << 10:
        sys.exit(f"an upload of {job.size_bytes} bytes took {grown} KiB")


def keys(service, key):
    del service
    expect("with the key", len(Service(CHANNEL, [("authorization", f"Bearer {key}")]).List().jobs), 0)
    expect("with the key", len(Service(CHANNEL, [("x-api-key", key)]).List().jobs), 0)
    for metadata in [(), [("x-api-key", "other")]]:
        stranger = Service(CHANNEL, metadata)
        fails("a stranger", "UNAUTHENTICATED", "unauthorized", stranger.List)


def tls(service, certificate):
    del service
    with open(certificate, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(ADDRESS, credentials) as channel:
        health(Service(channel))
        expect("a call under TLS", len(Service(channel).List().jobs), 0)
    fails("a call in clear", "UNAVAILABLE", None, lambda: Plain(CHANNEL).check())


class Plain:
    """Health alone, for a server that tells nothing by reflection."""

    def __init__(self, channel):
        self.stub = health_pb2_grpc.HealthStub(channel)

    def check(self):
        return self.stub.Check(health_pb2.HealthCheckRequest(), timeout=10)


CHECKS = {"health": 0, "scenario": 1, "errors": 0, "cancel": 1, "link": 2, "memory": 3, "keys": 1, "tls": 1}

if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ADDRESS, words = sys.argv[1], sys.argv[2:]
    CHANNEL = grpc.insecure_channel(ADDRESS)
    grpc.channel_ready_future(CHANNEL).result(timeout=PATIENCE_S) if words[0] != "tls" else None
    while words:
        name, words = words[0], words[1:]
        arguments, words = words[: CHECKS[name]], words[CHECKS[name] :]
        globals()[name](Service(CHANNEL) if name != "tls" else None, *arguments)
