"""The download of a public dataset, against a small local server that answers as OpenNeuro's does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from core.errors import InputError
from core.files import read_json, write_json
from core.options import make
from studies.bids import checking, openneuro
from studies.bids.options import BidsOptions
from studies.bids.scans import BidsScan
from studies.sources import bids, source
from tests.support.paths import ROOT
from workflow.configuration import Configuration

SESSIONS = ("NOT1ACH001", "NOT3GEM001", "OXF1PRI001", "OXF3TRI001", "OXF9XYZ001")
IMAGES = [f"sub-{s}/ses-{m}/anat/sub-{s}_ses-{m}_T1w.nii.gz" for s in ("03286", "1") for m in SESSIONS]
FILES = {path: path.encode() * 500 for path in IMAGES} | {
    "dataset_description.json": b'{"Name": "made up", "BIDSVersion": "1.8.0"}',
    "participants.tsv": b"participant_id\tage\nsub-03286\t31\nsub-1\t40\n",
    "sub-1/ses-OXF1PRI001/func/sub-1_ses-OXF1PRI001_task-rest_bold.nii.gz": b"long",
}


PUBLIC = {"id": "ds004712", "version": "2.0.1"}


class Server(ThreadingHTTPServer):
    """Serves `FILES`; `fault` maps a path to what goes wrong with it, `asked` are the paths that were sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault: dict[str, str] = {}
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["variables"]
        known = asked == {"id": "ds004712", "version": "2.0.1"}
        files = [
            {"filename": path, "urls": [f"{self.server.address}/{path}"], "size": len(content)}
            for path, content in FILES.items()
        ]
        body = json.dumps({"data": {"snapshot": {"files": files} if known else None}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body: bool):
        path = self.path.lstrip("/")
        fault = self.server.fault.get(path)
        if fault == "missing":
            self.send_error(404)
            return
        content = FILES[path]
        tag = hashlib.md5(b"another" if fault == "checksum" else content).hexdigest()
        self.send_response(200)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.server.asked.append(path)
            self.wfile.write(content[: len(content) // 2] if fault == "broken" else content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(openneuro, "RETRIES", 0)
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def options(local, tmp_path, **changes) -> dict:
    public = PUBLIC | {"server": local.address} | changes
    return {"dataset": str(tmp_path / "set"), "scanner": "ses", "openneuro": public}


def test_planned_before_any_image_is_there(server, tmp_path):
    planned = source("bids").plan(options(server, tmp_path))
    assert [(scan.subject, scan.scanner) for scan in planned] == [
        (subject, scanner) for subject in ("03286", "1") for scanner in SESSIONS
    ]
    assert sorted(server.asked) == ["dataset_description.json", "participants.tsv"]
    source("bids").plan(options(server, tmp_path))
    assert len(server.asked) == 2
    source("bids").check(options(server, tmp_path) | {"voxel_size_mm": 4})


def test_t2w_images_are_planned_and_downloaded_with_their_scans(server, tmp_path, monkeypatch):
    beside = IMAGES[1].replace("_T1w", "_T2w")
    monkeypatch.setitem(FILES, beside, b"T2w" * 500)
    monkeypatch.setattr(checking, "check_image", lambda path: None)
    chosen = source("bids").options(options(server, tmp_path))
    with_t2 = source("bids").options(options(server, tmp_path) | {"t2": True})
    for given, expected in ((chosen, [None, None]), (with_t2, [None, tmp_path / "set" / beside])):
        scans = [BidsScan(**scan) for scan in bids.settle(given).scans_found[:2]]
        scans = [dataclasses.replace(scan, image=Path(scan.image), t2=scan.t2 and Path(scan.t2)) for scan in scans]
        assert [scan.t2 for scan in scans] == expected
        for scan in scans:
            bids.fetch(given, scan)
        assert server.asked.count(beside) == (given.t2 is True)
    assert [server.asked.count(image) for image in IMAGES[:2]] == [1, 1]
    assert (tmp_path / "set" / beside).read_bytes() == FILES[beside]


def test_images_arrive_once(server, tmp_path):
    made = make(BidsOptions, options(server, tmp_path))
    openneuro.listing(made)
    image = tmp_path / "set" / IMAGES[0]
    for _ in range(2):
        openneuro.download(made, image)
    assert image.read_bytes() == FILES[IMAGES[0]]
    assert server.asked.count(IMAGES[0]) == 1
    # a damaged one is fetched anew
    image.write_bytes(b"damaged")
    openneuro.download(made, image)
    assert image.read_bytes() == FILES[IMAGES[0]]


@pytest.mark.parametrize(("fault", "message"), [("missing", "404"), ("checksum", "hash"), ("broken", "could not be")])
def test_faults_are_named_and_leave_nothing(server, tmp_path, fault, message):
    made = make(BidsOptions, options(server, tmp_path))
    openneuro.listing(made)
    server.fault[IMAGES[1]] = fault
    with pytest.raises(InputError, match=f"{IMAGES[1]}.*{message}"):
        openneuro.download(made, tmp_path / "set" / IMAGES[1])
    assert not list((tmp_path / "set").rglob("*T1w*"))
    server.fault.clear()
    openneuro.download(made, tmp_path / "set" / IMAGES[1])
    assert (tmp_path / "set" / IMAGES[1]).read_bytes() == FILES[IMAGES[1]]


def test_unknown_dataset_and_no_server(server, tmp_path):
    with pytest.raises(InputError, match="ds000001 2.0.1.*knows no such dataset"):
        source("bids").plan(options(server, tmp_path, id="ds000001"))
    with pytest.raises(InputError, match="could not be asked.*internet"):
        source("bids").plan(options(server, tmp_path) | {"openneuro": PUBLIC | {"server": "http://127.0.0.1:9/"}})
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("public", "key"),
    [
        ({"id": "../../ds004712"}, "id"),
        ({"id": "ds004712\n"}, "id"),
        ({"version": "../../2.0.1"}, "version"),
        ({"version": "/tmp/x"}, "version"),
        ({"server": "file:///etc/passwd"}, "server"),
    ],
)
def test_what_is_no_public_dataset_is_refused_before_anything_is_asked(server, tmp_path, public, key):
    with pytest.raises(InputError, match=f"openneuro.{key}: "):
        source("bids").plan(options(server, tmp_path, **public))
    assert not server.asked


def test_a_listing_that_leaves_the_dataset_is_refused(server, tmp_path):
    """One that came with the folder, too, not from the server."""
    made = make(BidsOptions, options(server, tmp_path))
    openneuro.listing(made)
    kept = next((tmp_path / "set").glob(".openneuro-*.json"))
    file = read_json(kept)[IMAGES[0]]
    for path in ("sub-1/../../../evil/sub-1_T1w.nii.gz", "/sub-1/anat/sub-1_T1w.nii.gz"):
        write_json(kept, {path: file})
        with pytest.raises(InputError, match="names a file outside the dataset"):
            source("bids").plan(options(server, tmp_path))
    write_json(kept, [IMAGES[0]])
    with pytest.raises(InputError, match="not a listing of files; remove it"):
        openneuro.listing(made)


def test_the_shipped_configuration(server, tmp_path):
    """Only the four scanners' images of the public study are planned, under the paper's names."""
    config, shipped = (
        yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ("config", "on-harmony")
    )
    block = shipped["study"]["bids"] | {"dataset": str(tmp_path / "set")}
    block["openneuro"] = block["openneuro"] | {"server": server.address}
    study = config["study"] | {"source": "bids", "bids": config["study"]["bids"] | block}
    made = Configuration(
        config
        | shipped
        | {
            "study": study,
            "methods": config["methods"] | shipped["methods"],
            "controls": config["controls"] | shipped["controls"],
        }
    )
    assert made.scanners == ["GE", "Philips", "Prisma", "Trio"]
    assert made.subjects == ["03286", "1"]
    assert len(made.scans) == 8
