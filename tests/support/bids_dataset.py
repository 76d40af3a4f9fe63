"""BIDS datasets of empty images."""

from __future__ import annotations

from pathlib import Path


def make_dataset(folder: Path, *names: str, **texts: str) -> Path:
    """A dataset of empty images, and of tables and sidecars by their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "made up", "BIDSVersion": "1.8.0"}')
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def t1w(subject: str, session: str = "", *, ending: str = ".nii.gz", middle: str = "") -> str:
    """The path of a T1-weighted image in a dataset."""
    folder = f"sub-{subject}/" + (f"ses-{session}/" if session else "")
    return f"{folder}anat/sub-{subject}_" + (f"ses-{session}_" if session else "") + f"{middle}T1w{ending}"


def t2w(subject: str, session: str = "", *, middle: str = "") -> str:
    """The path of a T2-weighted image in a dataset."""
    return t1w(subject, session, middle=middle).replace("_T1w", "_T2w")
