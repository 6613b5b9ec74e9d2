"""Writes an image of busybox alone, which containerd and podman load: image.py FILE NAME."""
import hashlib, io, json, sys, tarfile


def add(archive, name, content=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.linkname = len(content), mode, kind, link
    archive.addfile(entry, io.BytesIO(content))


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as archive:
    for folder in "bin etc proc sys dev tmp run".split():
        add(archive, folder, kind=tarfile.DIRTYPE)
    add(archive, "bin/busybox", open("/bin/busybox", "rb").read())
    for name in "sh sleep ip ping nc wget cat ls true".split():
        add(archive, "bin/" + name, kind=tarfile.SYMTYPE, link="busybox")
layer = layer.getvalue()
config = json.dumps({"architecture": "amd64", "os": "linux",
                     "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/sleep", "2147483647"]},
                     "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
with tarfile.open(sys.argv[1], "w") as archive:
    add(archive, name, config)
    add(archive, "layer.tar", layer)
    add(archive, "manifest.json",
        json.dumps([{"Config": name, "RepoTags": [sys.argv[2]], "Layers": ["layer.tar"]}]).encode())
