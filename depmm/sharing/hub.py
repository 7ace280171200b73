"""Upload an exported folder to the Hugging Face Hub, and download one.

The exported folder is the unit. Before an upload it is compared with the checksums that the export
wrote after its search for ids: a file that was added or changed is never sent. A download is named
by the hash of a commit, contains only formats of an export (no code, no pickle), and is compared
with the same checksums before anything is read from it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depmm.sharing.errors import SharingError
from depmm.sharing.sealed_folder import SUFFIXES, check_sealed

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
PATTERNS = [*(f"*{suffix}" for suffix in sorted(SUFFIXES - {""})), "*SHA256SUMS"]


def push_to_hub(
    folder: Path | str, repository: str, public: bool = False, api: Any | None = None
) -> str:
    """Upload an exported folder; the repository then contains exactly its files.

    Parameters
    ----------
    folder : Path or str
        Folder that ``export_run`` wrote.
    repository : str
        ``owner/name`` on the hub; it is created if it does not exist.
    public : bool, default False
        Whether a new repository is public.
    api : HfApi, optional
        Client of the hub; default: that of the account of ``hf auth login``.

    Returns
    -------
    str
        Hash of the commit, the revision for a download.

    Raises
    ------
    SharingError
        If the folder is no export or was changed, the name of the repository is invalid, the
        repository is public without ``public``, or the hub refuses the upload.
    """
    folder = Path(folder)
    names = check_sealed(folder)
    _check_name(repository)
    api = api or _client()
    with _reporting(repository):
        api.create_repo(repository, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository).private:
            raise SharingError(
                f"{repository} exists and is public.",
                setting="public",
                value=repository,
                remedy="Give --public if all users of the hub may read the model, or another name.",
            )
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=names,
            delete_patterns="*",
            commit_message="Upload an exported model of depmm",
        )
    return str(commit.oid)


def download_run(
    repository: str, revision: str | None, folder: Path | None = None, api: Any | None = None
) -> Path:
    """Download an exported folder, and compare it with its checksums.

    Parameters
    ----------
    repository : str
        ``owner/name`` on the hub.
    revision : str or None
        Hash of a commit, 40 hexadecimal digits. A branch can change and is refused.
    folder : Path, optional
        Folder of the download, new or empty; default: the cache of the hub.
    api : HfApi, optional
        Client of the hub.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SharingError
        If the revision is not a commit, the download fails, or its files do not match the
        checksums of the export.
    """
    _check_name(repository)
    api = api or _client()
    if revision is None or not _COMMIT.fullmatch(revision):
        with _reporting(repository):
            commit = api.repo_info(repository, revision=revision).sha
        raise SharingError(
            f"{repository}: the revision {revision or 'of the main branch'} can change.",
            setting="revision",
            value=commit,
            remedy=f"Give the commit, which is {commit} at present.",
        )
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SharingError(
            f"{folder} exists and is not empty.", file=folder, remedy="Give a new folder."
        )
    with _reporting(repository):
        path = api.snapshot_download(
            repository, revision=revision, local_dir=folder, allow_patterns=PATTERNS
        )
    # the cache of the hub consists of links to its files
    check_sealed(Path(path), links=folder is None)
    return Path(path)


def find_run(name: Path | str, revision: str | None = None, api: Any | None = None) -> Path:
    """Find a local run, or download an exported one.

    Parameters
    ----------
    name : Path or str
        Local folder, or ``owner/name`` on the hub.
    revision : str, optional
        Commit of a repository.
    api : HfApi, optional
        Client of the hub.

    Returns
    -------
    Path
        A local folder.

    Raises
    ------
    SharingError
        As ``download_run``, or if an exported local folder was changed.
    """
    if Path(name).is_dir():
        if (Path(name) / "export.json").is_file():
            check_sealed(Path(name))
        return Path(name)
    return download_run(str(name), revision, api=api)


def _client() -> Any:
    from huggingface_hub import HfApi

    return HfApi(library_name="depmm")


def _check_name(repository: str) -> None:
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise SharingError(
            f"{repository!r} is neither a folder nor the name of a repository.",
            value=repository,
            remedy="Check the path, or give owner/name.",
        )


@contextmanager
def _reporting(repository: str) -> Iterator[None]:
    """Convert errors of the hub and of the network."""
    try:
        yield
    except SharingError:
        raise
    except Exception as error:  # of the hub or of its HTTP library, which depends on the version
        lines = str(error).strip().splitlines()
        raise SharingError(
            f"{repository}: the hub cannot be used ({lines[0] if lines else error!r}).",
            value=repository,
            remedy="Check name, revision and network, and log in with: hf auth login.",
        ) from None
