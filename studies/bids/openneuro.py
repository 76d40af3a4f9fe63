"""Images of a public OpenNeuro dataset, downloaded one by one, checksums verified.

pooch downloads and verifies. openneuro-py would do, but its urllib3-future writes over the urllib3 that
all else here uses, and DataLad needs git-annex beside Python. What is done isn't done again: a run that
was cut off goes on with the next image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import InputError
from core.files import read_json, write_json
from studies.bids.images import ELSEWHERE
from studies.bids.options import BidsOptions

SERVER = "https://openneuro.org/crn/graphql"
QUERY = """query($id: ID!, $version: String!) {
  snapshot(datasetId: $id, tag: $version) { files(recursive: true) { filename urls size } }
}"""

TABLE = re.compile(r"(dataset_description\.json|participants\.tsv|sub-[^/]+/([^/]+/)?[^/]+_(sessions|scans)\.tsv)\Z")
"""What planning a study reads of a dataset beside the names of its images."""

ODD_IN_PATHS = re.compile(r"[\x00-\x1f\x7f\\]")
"""Control characters, and what another system takes for a slash."""

RETRIES = 2
SECONDS = 60


def listing(options: BidsOptions) -> list[str]:
    """The paths of a dataset's files; asked for once, then read from the dataset's folder.

    The first time its tables are downloaded too. Raises `InputError` where the server can't be reached,
    doesn't know the dataset, or a table doesn't arrive whole.
    """
    place = _place(options)
    if not place.exists():
        files = _ask(options)
        for path in filter(TABLE.match, files):
            _fetch(options, path, files[path])
        write_json(place, files)
    return list(_known(options))


def download(options: BidsOptions, image: Path) -> None:
    """Download one image into the dataset's folder, whole or not at all.

    Raises `InputError` for an image that the dataset hasn't, and one that doesn't arrive whole.
    """
    path = image.relative_to(options.folder).as_posix()
    files = _known(options)
    if path not in files:
        dataset = _dataset(options)
        raise InputError(f"{path}: not in {dataset['id']} {dataset['version']}")
    _fetch(options, path, files[path])


def _dataset(options: BidsOptions) -> Mapping[str, str]:
    """The public dataset's `id` and `version`, and `server` where one is given."""
    assert options.openneuro is not None, "only a public dataset is listed and downloaded"
    return options.openneuro


def _place(options: BidsOptions) -> Path:
    dataset = _dataset(options)
    return options.folder / f".openneuro-{dataset['id']}-{dataset['version']}.json"


def _known(options: BidsOptions) -> dict[str, dict[str, Any]]:
    """The files of the listing that was kept; `InputError` for one that isn't a listing."""
    place = _place(options)
    files = read_json(place)
    if not isinstance(files, dict) or not all(
        isinstance(file, dict) and isinstance(file.get("url"), str) and "size" in file for file in files.values()
    ):
        raise InputError(f"{place}: not a listing of files; remove it, and the dataset's files are asked for anew")
    _check_inside(files, str(place))
    return files


def _check_inside(paths: Iterable[str], where: str) -> None:
    """Refuse the path of a file that would lie outside the dataset's folder, or has characters that no name has."""
    for path in paths:
        parts = PurePosixPath(path).parts
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts or ODD_IN_PATHS.search(path):
            raise InputError(f"{where} names a file outside the dataset: {path[:200]!r}; take another dataset")


def _ask(options: BidsOptions) -> dict[str, dict[str, Any]]:
    """Of every file of the version its address and size, by its path."""
    import requests

    dataset = _dataset(options)
    name = f"{dataset['id']} {dataset['version']}"
    server = dataset.get("server", SERVER)
    try:
        answer = requests.post(
            server,
            json={"query": QUERY, "variables": {key: dataset[key] for key in ("id", "version")}},
            timeout=SECONDS,
        )
        answer.raise_for_status()
        found = answer.json()["data"]["snapshot"]["files"]
        files = {file["filename"]: {"url": file["urls"][0], "size": file["size"]} for file in found if file["urls"]}
    except requests.RequestException as error:
        raise InputError(
            f"{name}: {server} could not be asked for its files ({error}); try again where there is internet access"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: {server} knows no such dataset and version ({error!r})") from None
    _check_inside(files, f"{name}: {server}")
    return {path: file for path, file in files.items() if not ELSEWHERE.search(f"/{path}")}


def _fetch(options: BidsOptions, path: str, file: dict[str, Any]) -> None:
    import pooch
    import requests

    url, size = file["url"], file["size"]
    try:
        head = requests.head(url, timeout=SECONDS, allow_redirects=True)
        head.raise_for_status()
        # of a file that was uploaded in one part, as images are, S3's ETag is the MD5
        tag = head.headers.get("ETag", "").strip('"')
        client = pooch.create(
            path=options.folder,
            base_url="",
            registry={path: f"md5:{tag}" if re.fullmatch("[0-9a-f]{32}", tag) else None},
            urls={path: url},
            retry_if_failed=RETRIES,
        )
        got = Path(client.fetch(path, downloader=pooch.HTTPDownloader(timeout=SECONDS)))
    except (requests.RequestException, ValueError, OSError) as error:
        raise InputError(f"{path}: could not be downloaded whole from {url} ({error}); start again to go on") from None
    if size is not None and got.stat().st_size != size:
        found = got.stat().st_size
        got.unlink()
        raise InputError(f"{path}: {found} bytes came from {url}, {size} are announced; start again to go on")
