"""A client of containerd's CRI, enough to run pods: the messages' descriptors stand in containerd's own executable.

Usage: cri.py SOCKET COMMAND [ARGUMENTS]; prints JSON. Needs grpc and protobuf.
"""
import base64, json, sys, zlib
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def descriptors(binary="/usr/bin/containerd", package="runtime.v1"):
    content, at, pool = open(binary, "rb").read(), 0, descriptor_pool.DescriptorPool()
    while (at := content.find(b"\x1f\x8b\x08", at)) >= 0:
        try:
            found = descriptor_pb2.FileDescriptorProto.FromString(
                zlib.decompressobj(31).decompress(content[at:at + 400000]))
        except Exception:
            found = None
        at += 1
        if found and found.name == "api.proto" and found.package == package:
            break
    del found.dependency[:]
    found.ClearField("options")

    def strip(message):
        if not message.options.map_entry:
            message.ClearField("options")
        for field in message.field:
            field.ClearField("options")
        for nested in message.nested_type:
            strip(nested)

    for message in found.message_type:
        strip(message)
    for enum in found.enum_type:
        enum.ClearField("options")
    found.syntax = "proto3"
    pool.Add(found)
    return pool


class Cri:
    def __init__(self, socket):
        self.pool = descriptors()
        self.channel = grpc.insecure_channel("unix:" + socket, options=[("grpc.default_authority", "localhost")])

    def call(self, method, **members):
        for service in ("RuntimeService", "ImageService"):
            methods = self.pool.FindServiceByName("runtime.v1." + service).methods_by_name
            if method in methods:
                break
        known = methods[method]
        if hasattr(message_factory, "GetMessageClass"):
            asked, answered = (message_factory.GetMessageClass(x) for x in (known.input_type, known.output_type))
        else:
            factory = message_factory.MessageFactory(self.pool)
            asked, answered = (factory.GetPrototype(x) for x in (known.input_type, known.output_type))
        send = self.channel.unary_unary(f"/runtime.v1.{service}/{method}", request_serializer=asked.SerializeToString,
                                        response_deserializer=answered.FromString)
        answer = send(json_format.ParseDict(members, asked()), timeout=60)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)


def pod(name, ports):
    return {"metadata": {"name": name, "uid": "uid-" + name, "namespace": "default"}, "log_directory": "/run/log",
            "linux": {}, "port_mappings": [{"protocol": "TCP", "container_port": inner, "host_port": outer}
                                           for outer, inner in ports],
            "annotations": {"kubernetes.io/ingress-bandwidth": "100M", "kubernetes.io/egress-bandwidth": "100M"}}


def main():
    cri, command, arguments = Cri(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if command == "ready":
        print(json.dumps(cri.call("Status")["status"]))
    elif command == "run":
        name, ports = arguments[0], [tuple(map(int, text.split(":"))) for text in arguments[1:]]
        config = pod(name, ports)
        sandbox = cri.call("RunPodSandbox", config=config)["pod_sandbox_id"]
        address = cri.call("PodSandboxStatus", pod_sandbox_id=sandbox)["status"]["network"]["ip"]
        container = cri.call("CreateContainer", pod_sandbox_id=sandbox, sandbox_config=config, config={
            "metadata": {"name": "main"}, "image": {"image": "localhost/pause:lab"}, "log_path": "main.log", "linux": {},
            "command": ["/bin/sh", "-c", "while true; do echo hello | nc -l -p 8080; done"]})["container_id"]
        cri.call("StartContainer", container_id=container)
        print(json.dumps({"sandbox": sandbox, "address": address, "container": container}))
    elif command == "exec":
        answer = cri.call("ExecSync", container_id=arguments[0], cmd=arguments[1:], timeout=10)
        print(json.dumps({"exit": answer.get("exit_code", 0),
                          "stdout": base64.b64decode(answer.get("stdout", "")).decode()}))
    elif command == "stop":
        for sandbox in arguments:
            cri.call("StopPodSandbox", pod_sandbox_id=sandbox)
            cri.call("RemovePodSandbox", pod_sandbox_id=sandbox)
        print("{}")


main()
